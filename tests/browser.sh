# Install Debian's Chromium where there is no browser and that needs nobody's password.
# Where CI or BELONG_REQUIRE_BROWSER is set it fails without one; elsewhere the tests of the pages are
# skipped, each with the reason.
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done

if [ "$(id -u)" = 0 ]; then
  as_root=""
elif sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  as_root="no"
fi

if [ "$as_root" != no ] && command -v apt-get >/dev/null; then
  echo "installing Chromium, for the tests of the report's page"
  $as_root timeout 120 apt-get -qq update >/dev/null 2>&1
  $as_root env DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -qq --no-install-recommends \
    install chromium >/dev/null 2>&1 && exit 0
fi
if [ -n "$CI$BELONG_REQUIRE_BROWSER" ]; then
  echo "no Chromium here, and none could be installed: CI tests the pages in one" >&2
  exit 2
fi
echo "no Chromium here: the tests of the pages in a browser will be skipped" >&2
