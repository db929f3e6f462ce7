# Install what the tests of other processors and of Slurm need, on Debian as root: QEMU and Slurm.
#
# Debian 12's own QEMU computes AVX2's gathers wrongly; its backports have a newer one. Where CI is
# set, the tests fail if this did not work; elsewhere they are skipped, each with the reason.
set -euo pipefail

missing=()
command -v qemu-x86_64 >/dev/null || missing+=(qemu-user)
for package in munge slurmctld slurmd slurm-client; do
  dpkg-query --show "$package" >/dev/null 2>&1 || missing+=("$package")
done
if command -v qemu-x86_64 >/dev/null && qemu-x86_64 --version | grep -q "version [1-8]\."; then
  missing+=(qemu-user)
fi
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing ${missing[*]}, for the tests of other processors and of Slurm"
if . /etc/os-release && [ "${VERSION_CODENAME:-}" = bookworm ]; then
  # The suite beside those that are configured, from where they come.
  uri=$(apt-cache policy | grep -o "https\?://[^ ]* bookworm/main" | head -1 | cut -d " " -f 1)
  echo "deb $uri bookworm-backports main" >/etc/apt/sources.list.d/bookworm-backports.list
  missing=("${missing[@]/qemu-user/qemu-user/bookworm-backports}")
fi
apt-get -qq update >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get -qq --no-install-recommends install "${missing[@]}" >/dev/null
