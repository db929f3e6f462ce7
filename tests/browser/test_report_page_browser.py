"""The report's page in a browser, used with clicks and keys.

The classes of the run contain markup and other special characters.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests import chromium
from tests.small_report import make_inputs, make_page, rename_classes

pytestmark = chromium.needs_browser

BAD_NAMES = {
    "0": "</script><script>document.title = 'taken'</script>",
    "1": "<img src=x onerror=\"document.title = 'taken'\">",
    "2": "a 'very' \"long\" name " + "x" * 300,
    "3": "{{ 7 * 7 }}",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.launched() as launched:
        yield launched


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("report")
    make_inputs(to)
    rename_classes(to, BAD_NAMES)
    return make_page(to)


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    with chromium.opened(browser, file.as_uri()) as report_page:
        yield report_page


def column(page: Page, place: int) -> list[str]:
    return page.locator(f".board tbody tr > :nth-child({place})").all_inner_texts()


def heading(page: Page, label: str) -> str | None:
    """Return how the table says that it is sorted by this column."""
    return page.get_by_role("columnheader", name=label, exact=True).get_attribute("aria-sort")


def bars(page: Page) -> list[str]:
    rects = page.locator("[data-chart=histogram] g rect").all()
    return [rect.get_attribute("height") or "" for rect in rects]


def test_the_scoreboard_starts_with_the_highest_auroc_and_ends_with_the_floor(page: Page) -> None:
    names, numbers = column(page, 1), column(page, 2)
    assert names[3:] == ["mlp_head", "accept all", "reject all"]
    assert numbers[:3] == sorted(numbers[:3], reverse=True)
    assert numbers[3:] == ["\N{EN DASH}"] * 3
    assert heading(page, "AUROC") == "descending"


def test_a_click_sorts_by_numbers_and_a_second_one_turns_the_order_round(page: Page) -> None:
    button = page.get_by_role("button", name="false accepts", exact=True)
    button.click()
    rising = column(page, 12)
    assert heading(page, "false accepts") == "ascending"
    assert heading(page, "AUROC") is None
    button.click()
    falling = column(page, 12)
    assert heading(page, "false accepts") == "descending"
    numbers, missing = rising[:3], rising[3:]
    assert numbers == sorted(numbers, key=float)
    assert len(set(numbers)) > 1
    assert falling == [*reversed(numbers), *missing]  # without a number: always last


def test_rows_without_a_number_are_sorted_last_in_both_orders(page: Page) -> None:
    """In the first order the row "accept all", which has an F1, is between two rows without one."""
    button = page.get_by_role("button", name="F1 normal", exact=True)
    for turned_round in (True, False):
        button.click()
        numbers = column(page, 7)
        assert numbers[:4] == sorted(numbers[:4], key=float, reverse=turned_round)
        assert numbers[4:] == ["\N{EN DASH}"] * 2


def test_the_keyboard_sorts_too(page: Page) -> None:
    button = page.get_by_role("button", name="detector", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    names = column(page, 1)
    assert names == sorted(names)
    page.keyboard.press("Space")
    assert column(page, 1) == names[::-1]


def test_another_detector_changes_the_histogram_the_mistakes_and_the_headings(page: Page) -> None:
    assert page.get_by_label("Detector in view").input_value() == "combined"
    before = bars(page)
    page.get_by_label("Detector in view").select_option("mahalanobis")
    assert bars(page) != before
    assert page.locator("#scores h2").inner_text() == "Scores of mahalanobis"
    blocks = page.locator("[data-shows]:visible").evaluate_all(
        "blocks => blocks.map((block) => block.dataset.shows)"
    )
    assert set(blocks) == {"mahalanobis"}


def test_the_legend_and_a_curve_pick_a_detector(page: Page) -> None:
    page.locator(".legend").get_by_role("button", name=re.compile("^mahalanobis")).click()
    assert page.get_by_label("Detector in view").input_value() == "mahalanobis"
    page.locator("[data-chart=roc] .reach[data-pick=reconstruction]").dispatch_event("click")
    assert page.get_by_label("Detector in view").input_value() == "reconstruction"


def test_every_detector_has_a_curve_in_each_chart(page: Page) -> None:
    for chart in ("roc", "corner", "pr-normal", "pr-anomaly"):
        picks = page.locator(f"[data-chart={chart}] .reach")
        assert picks.count() == 3, chart


def test_the_paper_s_threshold_is_drawn_dashed_beside_the_one_in_force(page: Page) -> None:
    page.get_by_label("Detector in view").select_option("mahalanobis")
    lines = page.locator("[data-chart=histogram] g line").all()
    assert [line.get_attribute("stroke-dasharray") for line in lines] == ["", "5 4"]
    assert page.locator("[data-chart=histogram] .mark").last.inner_html() == "training: 0.05"


def test_the_page_begins_with_the_grade_of_both_uses(page: Page) -> None:
    grades = page.locator("header .grades li b").all_inner_texts()
    assert grades == ["Usable with care", "Usable with care"]
    assert page.locator("header .sentences li").count() == 4


def test_a_bad_name_in_the_verdict_is_text(page: Page) -> None:
    sentences = page.locator("header .sentences").inner_text()
    assert "22% of '{{ 7 * 7 }}' (10 of 45) are classified as" in sentences
    assert "always predicting '<img src=x onerror=" in sentences


def test_every_picture_is_shown(page: Page) -> None:
    widths = page.locator("main img").evaluate_all(
        "images => images.map((one) => one.naturalWidth)"
    )
    assert set(widths) == {28}
    assert len(widths) >= 4 * 20


def test_bad_names_are_shown_as_they_are_and_do_nothing(page: Page) -> None:
    names = set(page.locator(".cards b").all_text_contents())
    assert BAD_NAMES.keys().isdisjoint(names)
    assert len(names & set(BAD_NAMES.values())) >= 3
    assert page.title() == "mnist-small against fashion-mnist-small · belong"


@pytest.mark.parametrize("width", [390, 700, 1000, 1400])
def test_the_page_does_not_scroll_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.wait_for_timeout(100)  # the charts are redrawn in the next frame
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_contents_lead_to_every_section(page: Page) -> None:
    links = page.locator("nav a").evaluate_all("links => links.map((one) => one.hash.slice(1))")
    sections = page.locator("main > [id]").evaluate_all("all => all.map((one) => one.id)")
    assert links == sections


def test_at_1280_pixels_the_whole_scoreboard_is_seen(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_timeout(100)
    board = page.get_by_role("region", name="Scoreboard")
    assert board.evaluate("box => box.scrollWidth - box.clientWidth") == 0
