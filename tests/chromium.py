"""The browser in which the tests open pages, and the checks that hold for every page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

NONE = "no Chromium here to open the page in; Debian has one: apt-get install chromium"
# In CI a check that cannot run fails.
REQUIRED = any(os.environ.get(name) for name in ("CI", "BELONG_REQUIRE_BROWSER"))

needs_browser = pytest.mark.skipif(BROWSER is None and not REQUIRED, reason=NONE)


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser."""
    assert BROWSER, NONE
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, uri: str) -> Iterator[Page]:
    """Open a page; fail if it logs an error or requests another address."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(30_000)
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.append(request.url.partition("#")[0]))
    page.goto(uri)
    yield page
    page_uri = uri.partition("#")[0]
    elsewhere = [
        one for one in faults if one != page_uri and not one.startswith(("data:", "blob:"))
    ]
    page.close()
    assert not elsewhere, elsewhere
