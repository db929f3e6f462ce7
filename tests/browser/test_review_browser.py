"""A person moves alpha and marks images in the gallery, with the mouse and with keys."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from belong.reporting.gallery.render import Review
from belong.runtime.text import exact, printable
from tests import chromium
from tests.small_gallery import Small, small_gallery

pytestmark = chromium.needs_browser
ODD = ["two\nlines.png", "caf\udce9.png", '=a,"b".png', "50%.png"]
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "=nine, too"]


@pytest.fixture(scope="module")
def gallery_data() -> Small:
    return small_gallery(NAMES)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.launched() as chromium_browser:
        yield chromium_browser


@pytest.fixture(scope="module")
def file(gallery_data: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = [*ODD, *gallery_data.rows["path"][len(ODD) :]]
    rows = gallery_data.rows.assign(path=[printable(name) for name in files])
    review = Review(**vars(gallery_data.review) | {"files": files})
    path = tmp_path_factory.mktemp("review") / "gallery.html"
    path.write_text(gallery_data.page(rows=rows, review=review), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    with chromium.opened(browser, file.as_uri()) as review_page:
        yield review_page


def rejected_at(gallery_data: Small, alpha: float) -> int:
    return int((gallery_data.rows["p_value"] <= alpha + 1e-12).sum())


def open_box(page: Page, heading: str) -> None:
    box = page.locator("details.box", has_text=heading)
    if box.get_attribute("open") is None:
        box.locator("summary").click()


def slide(page: Page, key: str, times: int) -> None:
    open_box(page, "another alpha")
    page.locator("#alpha").focus()
    for _ in range(times):
        page.keyboard.press(key)


def test_alpha_is_moved_with_keys_and_every_verdict_follows(
    page: Page, gallery_data: Small
) -> None:
    rejected = int((~gallery_data.rows["belongs"]).sum())
    cost, count = page.locator("#cost"), page.locator('[data-count="rejected"]')
    expect(cost).to_contain_text(f"At 2.5%: {rejected} of 300 images are rejected")
    slide(page, "ArrowLeft", 3)
    alpha = float(page.locator("#command").inner_text().split("--alpha ")[1])
    assert alpha < 0.025
    expect(cost).to_contain_text(f"{rejected_at(gallery_data, alpha)} of 300")
    expect(count).to_have_text(str(rejected_at(gallery_data, alpha)))
    slide(page, "End", 1)
    expect(cost).to_contain_text(
        f"At 50%: {rejected_at(gallery_data, 0.5)} of 300 images are rejected. Of 100 "
        "normal images about 50 are rejected."
    )
    expect(page.locator(".tile.out").first).to_be_visible()
    page.get_by_role("radio", name="does not belong").check()
    expect(page.locator("#count")).to_have_text(
        f"{rejected_at(gallery_data, 0.5)} of 300 images shown"
    )
    slide(page, "Home", 1)
    expect(cost).to_contain_text("At 0.5%")
    page.get_by_role("button", name="Show all again").click()
    expect(cost).to_contain_text(f"At 2.5%: {rejected} of 300")


def test_the_threshold_in_the_histogram_is_that_of_the_alpha(
    page: Page, gallery_data: Small
) -> None:
    slide(page, "End", 1)
    middle = np.sort(gallery_data.calibration)[::-1][int(0.5 * 201) - 1]
    expect(page.locator("#histogram .mark")).to_have_text(f"threshold {middle:.4g}")


def test_the_address_keeps_alpha(page: Page, browser: Browser) -> None:
    slide(page, "ArrowRight", 5)
    cost = page.locator("#cost").inner_text()
    with chromium.opened(browser, page.url) as other:
        expect(other.locator("#cost")).to_have_text(cost)


def table(page: Page) -> list[dict[str, str]]:
    open_box(page, "Your answers")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save review.csv").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_answers_are_saved_with_exact_paths_and_kept_by_the_browser(page: Page, file: Path) -> None:
    page.get_by_label("Order").select_option("path")
    tile = page.locator(".tile")
    tile.nth(0).focus()
    page.keyboard.press("n")
    for key in ("ArrowRight", "m", "ArrowRight", "n", "u", "n"):
        page.keyboard.press(key)
    tile.nth(3).click()
    page.get_by_role("dialog").locator("#panel-answer").select_option("new")
    page.get_by_role("dialog").locator("#panel-class").fill(' ten, "10" ')
    page.get_by_role("dialog").get_by_role("button", name="Mark").click()
    expect(page.locator("#said")).to_have_text('✓ ten, "10"')
    page.keyboard.press("Escape")
    expect(page.locator("#reviewed")).to_have_text("4 of 300 images marked: 2 mine, 2 not mine.")
    predicted = table(page)[1]["class"]
    assert predicted in NAMES
    assert [(row["path"], row["belongs"], row["class"]) for row in table(page)] == [
        (exact(ODD[0]), "False", ""),
        (exact(ODD[1]), "True", predicted),
        (f"./{exact(ODD[2])}", "False", ""),
        (exact(ODD[3]), "True", 'ten, "10"'),
    ]
    assert {row["model"] for row in table(page)} == {"5" * 64}
    page.reload()
    expect(page.locator("#reviewed")).to_contain_text("4 of 300 images marked")
    page.get_by_label("Your answers").select_option("open")
    expect(page.locator("#count")).to_have_text("296 of 300 images shown")
    open_box(page, "Your answers")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget all").click()
    expect(page.locator("#reviewed")).to_have_text("No image is marked.")
    page.goto(file.as_uri())
    open_box(page, "Your answers")
    expect(page.get_by_role("button", name="Save review.csv")).to_be_disabled()


def test_a_class_of_the_model_that_is_typed_as_a_new_one_stays_one_class(page: Page) -> None:
    open_box(page, "Your answers")
    expect(page.locator("#review")).to_contain_text("a new class needs at least 10 images")
    for typed, name in ((" Seven", "seven"), ("Eleven", "Eleven"), ("eleven", "Eleven")):
        page.locator("#shown-answer").select_option("new")
        page.get_by_label("Name of the new class").first.fill(typed)
        page.get_by_role("button", name="Mark all shown").click()
        assert {row["class"] for row in table(page)} == {name}


def test_all_that_are_shown_are_marked_at_once(page: Page) -> None:
    page.get_by_role("radio", name="does not belong").check()
    count = page.locator(".tile").count()
    open_box(page, "Your answers")
    page.locator("#shown-answer").select_option(label="mine: seven")
    page.get_by_role("button", name="Mark all shown").click()
    rows = table(page)
    assert len(rows) >= count > 3
    assert {row["class"] for row in rows} == {"seven"}


def test_a_store_that_is_spoiled_or_denied_is_no_trouble(browser: Browser, file: Path) -> None:
    errors: list[object] = []
    key = json.dumps(f"belong review {'5' * 64} uploads")
    for script in (
        f"localStorage.setItem({key}, '[[')",
        f'localStorage.setItem({key}, \'{{"50%25.png": 7, "nowhere": null}}\')',
        "delete window.localStorage; Object.defineProperty(window, 'localStorage', {get() "
        "{ throw new DOMException('denied') }})",
    ):
        with browser.new_context() as context:
            context.add_init_script(script)
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(error))
            page.goto(file.as_uri())
            expect(page.locator("#reviewed")).to_have_text("No image is marked.")
            page.locator(".tile").first.focus()
            page.keyboard.press("n")
            expect(page.locator("#reviewed")).to_contain_text("1 of 300 images marked")
            assert errors == []


def test_the_saved_list_has_the_bytes_of_the_paths(page: Page) -> None:
    page.get_by_label("Order").select_option("path")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save paths").click()
    lines = Path(download.value.path()).read_bytes().split(b"\n")
    assert lines[:5] == [b"two", b"lines.png", b"caf\xe9.png", b'=a,"b".png', b"50%.png"]


@pytest.mark.parametrize("width", [420, 1280])
def test_slider_and_answers_fit_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for heading in ("another alpha", "Your answers"):
        open_box(page, heading)
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("#alpha", "#command", "#mark-shown", "#save-review"):
        box = page.locator(part).bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    page.locator("#images").scroll_into_view_if_needed()
    page.locator(".tile").first.click()
    panel = page.get_by_role("dialog")
    assert panel.evaluate("panel => panel.scrollWidth - panel.clientWidth") <= 0
    panel.locator("#mark").click()
    expect(page.locator("#said")).to_have_text("✗ not mine")


def test_the_first_row_of_images_is_on_the_first_screen(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_timeout(100)
    box = page.locator(".tile").first.bounding_box()
    assert box
    assert box["y"] + box["height"] <= 900


def test_a_page_at_another_alpha_shows_the_slider(page: Page, browser: Browser) -> None:
    expect(page.locator("#alpha")).to_be_hidden()
    slide(page, "ArrowRight", 5)
    with chromium.opened(browser, page.url) as other:
        expect(other.locator("#alpha")).to_be_visible()
