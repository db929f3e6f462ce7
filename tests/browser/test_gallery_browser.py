"""The gallery in a browser, used with clicks, drags and keys.

Its classes and paths contain markup and other special characters.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from belong.data.thumbnail import thumbnail
from belong.reporting.gallery.render import histogram
from belong.runtime.text import printable
from tests import chromium
from tests.small_gallery import Small, small_gallery

pytestmark = chromium.needs_browser

CLASSES = (
    "</script><script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title = 'taken'\">",
    "a 'very' \"long\" name " + "x" * 234,
    "{{ 7 * 7 }}",
    "two\nlines",
    "turned\u202egnp.round",
    "&amp;",
    "日本語",
    "8",
    "9",
)
BAD_PATHS = {0: "a\nb/\u202egnp.<b>x</b>", 1: "x" * 255, 2: "bytes \udcff", 3: "a,b;c\"d'e\\f"}
SHOWN_PATHS = {0: "a\\nb/\\u202egnp.<b>x</b>", 2: "bytes \\xff"} | {
    place: BAD_PATHS[place] for place in (1, 3)
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.launched() as launched:
        yield launched


@pytest.fixture(scope="module")
def gallery_data() -> Small:
    gallery = small_gallery(CLASSES)
    for place, path in BAD_PATHS.items():
        gallery.rows.loc[place, "path"] = path
    return gallery


@pytest.fixture(scope="module")
def file(gallery_data: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gallery") / "gallery.html"
    path.write_text(gallery_data.page(), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    with chromium.opened(browser, file.as_uri()) as gallery_page:
        yield gallery_page


def shown_paths(page: Page) -> list[str]:
    """Return the paths of all shown images, in their order, as the page saves them."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save paths").click()
    return download.value.path().read_text(encoding="utf-8").splitlines()


def paths(rows: pd.DataFrame) -> list[str]:
    """Return their paths in the order of the rows, as the page writes them in a list."""
    places_and_paths = zip(rows.index.tolist(), rows["path"].tolist(), strict=True)
    return [SHOWN_PATHS.get(place, path) for place, path in places_and_paths]


def by_score(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("score", ascending=False, kind="stable")


def tile(page: Page, place: int) -> Locator:
    """Return the tile of the place in the order shown at first."""
    return page.locator(f'.tile[data-at="{place}"]')


def pixels(canvas: Locator) -> np.ndarray:
    """Wait until the canvas is drawn; return its pixels (h, w)."""
    expect(canvas).to_have_js_property("width", 28)
    # On a copy: the browser warns in the console if a canvas is read repeatedly.
    read = """canvas => {
      const copy = new OffscreenCanvas(28, 28).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      return [...copy.getImageData(0, 0, 28, 28).data];
    }"""
    canvas.page.wait_for_function(
        f"canvas => ({read})(canvas).some(Boolean)", arg=canvas.element_handle()
    )
    values = canvas.evaluate(read)
    return np.array(values).reshape(28, 28, 4)[:, :, 0]


# --- order and filters --------------------------------------------------------------------------


def test_the_most_anomalous_come_first_and_the_order_can_be_another(
    page: Page, gallery_data: Small
) -> None:
    rows = by_score(gallery_data.rows)
    assert shown_paths(page) == paths(rows)
    for order, expected in {
        "least": rows.sort_values("score", kind="stable"),
        "near": rows.iloc[
            np.argsort(np.abs(rows["score"] - gallery_data.threshold), kind="stable")
        ],
        "path": gallery_data.rows,
    }.items():
        page.get_by_label("Order").select_option(order)
        assert shown_paths(page) == paths(expected)


def test_a_verdict_and_a_class_filter_together_and_the_numbers_say_so(
    page: Page, gallery_data: Small
) -> None:
    rows = by_score(gallery_data.rows)
    page.get_by_role("radio", name="does not belong").check()
    assert shown_paths(page) == paths(rows[~rows["belongs"]])
    page.get_by_label("Predicted class").select_option(CLASSES[0])
    both = rows[~rows["belongs"] & (rows["class"] == CLASSES[0])]
    assert 0 < len(both) < len(rows)
    assert shown_paths(page) == paths(both)
    expect(page.locator("#count")).to_have_text(f"{len(both)} of 300 images shown")
    of_class = rows[rows["class"] == CLASSES[0]]
    counts = len(of_class), len(both), len(of_class) - len(both)
    assert page.locator("[data-count]").all_inner_texts() == [str(count) for count in counts]


def test_every_class_is_offered_with_its_number_of_images(page: Page, gallery_data: Small) -> None:
    options = (
        page.get_by_label("Predicted class")
        .locator("option")
        .evaluate_all(
            "all => Object.fromEntries(all.map((one) => [one.value, one.text.split('(').at(-1)]))"
        )
    )
    counts = gallery_data.rows["class"].value_counts()
    assert options == {"": "all classes"} | {
        printable(str(name)): f"{n})" for name, n in counts.items()
    }


def test_a_part_of_the_path_is_found_whether_large_or_small(
    page: Page, gallery_data: Small
) -> None:
    page.get_by_label("Part of the path").fill("iMaGe 01")
    matches = gallery_data.rows[gallery_data.rows["path"].str.contains("Image 01")]
    assert len(matches) == 10
    assert shown_paths(page) == paths(by_score(matches))
    page.get_by_label("Part of the path").fill("nowhere")
    assert shown_paths(page) == []
    expect(page.get_by_text("No image matches these filters.")).to_be_visible()


def test_all_can_be_shown_again(page: Page, gallery_data: Small) -> None:
    page.get_by_label("Part of the path").fill("nowhere")
    page.get_by_label("Order").select_option("path")
    page.get_by_role("button", name="Show all again").click()
    assert shown_paths(page) == paths(by_score(gallery_data.rows))
    assert "#" not in page.url


# --- the histogram ------------------------------------------------------------------------------


def drag(page: Page, first: int, last: int) -> None:
    """Drag from one bar to another."""
    ends = [page.locator("#histogram rect.reach").nth(bar).bounding_box() for bar in (first, last)]
    points = [(box["x"] + box["width"] / 2, box["y"] + 30) for box in ends if box]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=4)
    page.mouse.up()


def test_the_arrow_keys_move_a_range_from_the_threshold_on_and_escape_shows_all_again(
    page: Page, gallery_data: Small
) -> None:
    edges = histogram(gallery_data.rows["score"].to_numpy(), gallery_data.threshold)["edges"]
    bar = int(np.searchsorted(edges, gallery_data.threshold, side="right")) - 1
    rows, chart = by_score(gallery_data.rows), page.locator("#histogram")
    chart.focus()
    for keys, first, last in (
        (["ArrowRight"], bar, bar),
        (["Shift+ArrowRight", "Shift+ArrowRight"], bar, bar + 2),
        (["ArrowLeft"], bar - 1, bar + 1),
        (["Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft"], bar - 1, bar - 1),
    ):
        for key in keys:
            chart.press(key)
        inside = (rows["score"] >= edges[first]) & (rows["score"] < edges[last + 1])
        expect(page.locator("#count")).to_have_text(f"{inside.sum()} of {len(rows)} images shown")
        expect(page.get_by_label("Score from")).to_have_value(str(edges[first]))
    chart.press("Escape")
    expect(page.locator("#count")).to_have_text(f"{len(rows)} of {len(rows)} images shown")


def test_dragging_across_bars_shows_the_scores_from_the_first_to_the_end_of_the_last(
    page: Page, gallery_data: Small
) -> None:
    edges = histogram(gallery_data.rows["score"].to_numpy(), gallery_data.threshold)["edges"]
    rows = by_score(gallery_data.rows)
    for first, last in ((20, 30), (30, 20)):
        drag(page, first, last)
        within = rows[(rows["score"] >= edges[20]) & (rows["score"] < edges[31])]
        assert 0 < len(within) < 300
        assert shown_paths(page) == paths(within)
        assert float(page.get_by_label("Score from").input_value()) == edges[20]
        assert float(page.get_by_label("below").input_value()) == edges[31]


def test_the_outermost_bar_holds_all_scores_beyond_it(page: Page, gallery_data: Small) -> None:
    bars = histogram(gallery_data.rows["score"].to_numpy(), gallery_data.threshold)
    drag(page, 57, 59)
    assert len(shown_paths(page)) == sum(bars["counts"][57:])
    assert page.get_by_label("below").input_value() == ""


def test_a_second_click_on_a_bar_lets_all_scores_back_in(page: Page) -> None:
    drag(page, 25, 25)
    assert len(shown_paths(page)) < 300
    drag(page, 25, 25)
    assert len(shown_paths(page)) == 300


def test_a_range_may_be_typed(page: Page, gallery_data: Small) -> None:
    page.get_by_label("Score from").fill(str(gallery_data.threshold))
    assert set(shown_paths(page)) == set(
        paths(gallery_data.rows[gallery_data.rows["score"] >= gallery_data.threshold])
    )


def test_bars_of_what_is_shown_are_as_high_as_all_and_lie_on_their_verdict_s_side(
    page: Page, gallery_data: Small
) -> None:
    heights = {
        kind: np.array(
            page.locator(f"#histogram rect.{kind}").evaluate_all(
                "bars => bars.map((bar) => bar.height.baseVal.value)"
            )
        )
        for kind in ("rest", "belongs", "rejected")
    }
    np.testing.assert_allclose(heights["belongs"] + heights["rejected"], heights["rest"], atol=0.01)
    share = (~gallery_data.rows["belongs"]).mean()
    assert heights["rejected"].sum() / heights["rest"].sum() == pytest.approx(share, abs=1e-4)
    limit = float(page.locator("#histogram .limit").get_attribute("x1") or "nan")
    lefts = page.locator("#histogram rect.rejected").evaluate_all(
        "bars => bars.map((bar) => bar.x.baseVal.value + bar.width.baseVal.value)"
    )
    assert min(np.array(lefts)[heights["rejected"] > 0]) > limit


# --- one image ----------------------------------------------------------------------------------


def test_a_click_shows_the_image_its_numbers_and_its_nearest_training_images(
    page: Page, gallery_data: Small
) -> None:
    tile(page, 3).click()
    rows = by_score(gallery_data.rows)
    row, place = rows.iloc[3], rows.index.tolist()[3]
    panel = page.get_by_role("dialog")
    expect(panel).to_be_visible()
    expect(panel.locator("h2")).to_have_text("Does not belong")
    expect(panel.locator(".path")).to_have_text(row["path"])
    expect(panel.locator(".reason")).to_have_text(row["reason"])
    numbers = dict(
        zip(
            panel.locator("dt").all_inner_texts(),
            panel.locator("dd").all_text_contents(),
            strict=True,
        )
    )
    assert numbers["score"] == f"{row['score']:.4g}, threshold {gallery_data.threshold:.4g}"
    assert float(numbers["probability"]) == pytest.approx(row["probability"], rel=1e-3)
    assert float(numbers["p-value"]) == pytest.approx(row["p_value"], rel=1e-3)
    assert float(numbers["distance (calibrated limit: 1)"]) == pytest.approx(
        row["distance"], rel=1e-3
    )
    assert numbers["deciding detector"] == "mean image"
    np.testing.assert_array_equal(
        pixels(panel.locator(".picture canvas")), gallery_data.pictures[place, 0]
    )
    near = panel.locator(".nearest li")
    assert near.count() == 5
    for item, (training, distance) in zip(near.all(), gallery_data.nearest[place], strict=True):
        np.testing.assert_array_equal(
            pixels(item.locator("canvas")), gallery_data.training_pictures[training, 0]
        )
        assert float(item.locator("span").inner_text()) == pytest.approx(distance, rel=0.01)
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()


def test_the_keyboard_goes_to_an_image_opens_it_leafs_on_and_comes_back(
    page: Page, gallery_data: Small
) -> None:
    page.get_by_role("button", name="Save paths").focus()
    page.keyboard.press("Tab")
    expect(tile(page, 0)).to_be_focused()
    assert tile(page, 0).evaluate("tile => getComputedStyle(tile).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    expect(tile(page, 1)).to_be_focused()
    page.keyboard.press("Enter")
    path = page.get_by_role("dialog").locator(".path")
    expect(path).to_have_text(by_score(gallery_data.rows)["path"].iloc[1])
    page.keyboard.press("ArrowRight")
    expect(path).to_have_text(by_score(gallery_data.rows)["path"].iloc[2])
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(tile(page, 2)).to_be_focused()


def test_the_arrow_keys_move_by_rows_and_to_both_ends(page: Page) -> None:
    tile(page, 0).focus()
    tops = page.locator(".tile").evaluate_all("all => all.map((one) => one.style.top)")
    columns = tops.count("0px")
    for key, place in (("ArrowDown", columns), ("ArrowUp", 0), ("End", 299), ("Home", 0)):
        page.keyboard.press(key)
        expect(tile(page, place)).to_be_focused()
        expect(tile(page, place)).to_be_in_viewport(ratio=1)


# --- the address, and the list ------------------------------------------------------------------


def test_the_address_brings_the_same_view_back(page: Page, browser: Browser) -> None:
    page.get_by_role("radio", name="does not belong").check()
    page.get_by_label("Predicted class").select_option(CLASSES[0])
    page.get_by_label("Order").select_option("least")
    page.get_by_label("Part of the path").fill("image")
    page.get_by_label("Score from").fill("6.5")
    expected = shown_paths(page)
    assert 0 < len(expected) < 300
    page.locator(".tile").first.click()
    path = page.locator(".path").inner_text()
    with chromium.opened(browser, page.url) as other:
        expect(other.locator(".path")).to_have_text(path)
        other.keyboard.press("Escape")
        assert shown_paths(other) == expected
        assert "image=" not in other.url.split("path=image")[1]


def test_an_address_that_says_nonsense_shows_all(browser: Browser, file: Path) -> None:
    address = "verdict=perhaps&class=none&order=random&from=low&image=nowhere&__proto__=x"
    with chromium.opened(browser, f"{file.as_uri()}#{address}") as page:
        assert len(shown_paths(page)) == 300
        expect(page.get_by_role("dialog")).to_be_hidden()


def test_going_to_another_address_changes_the_view(page: Page, gallery_data: Small) -> None:
    page.evaluate(f"location.hash = 'class={quote(CLASSES[8])}&verdict=belongs'")
    expect(page.get_by_label("Predicted class")).to_have_value(CLASSES[8])
    rows = by_score(gallery_data.rows)
    assert shown_paths(page) == paths(rows[(rows["class"] == CLASSES[8]) & rows["belongs"]])


def test_the_paths_of_what_is_shown_are_copied(page: Page, gallery_data: Small) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Part of the path").fill("image 01")
    page.get_by_role("button", name="Copy paths").click()
    expect(page.locator("#done")).to_have_text("10 paths copied")
    matches = by_score(gallery_data.rows[gallery_data.rows["path"].str.contains("Image 01")])
    clipboard = page.evaluate("navigator.clipboard.readText()")
    assert clipboard.splitlines() == paths(matches)


# --- bad names, many images, few pixels ---------------------------------------------------------


def test_bad_names_are_shown_as_they_are_and_do_nothing(page: Page) -> None:
    page.get_by_label("Order").select_option("path")
    labels = page.locator(".tile").evaluate_all("all => all.slice(0, 4).map((one) => one.title)")
    assert labels == [SHOWN_PATHS[place] for place in range(4)]
    names = page.get_by_label("Predicted class").locator("option").all_text_contents()
    assert {name.rpartition(" (")[0] for name in names[1:]} == {
        *CLASSES, "two\\nlines", "turned\\u202egnp.round"
    } - {"two\nlines", "turned\u202egnp.round"}  # fmt: skip
    assert page.locator("main b b, main img").count() == 0
    assert page.title() == "uploads · belong"


def test_a_script_that_came_into_the_page_all_the_same_is_not_run(
    browser: Browser, file: Path
) -> None:
    with browser.new_page() as page:
        page.goto(file.as_uri())
        page.evaluate(
            """() => {
              const script = document.createElement("script");
              script.textContent = "document.title = 'taken'";
              document.body.append(script);
              document.body.insertAdjacentHTML(
                "beforeend", `<img src="data:," onerror="document.title = 'taken'">`);
            }"""
        )
        page.wait_for_timeout(100)
        assert page.title() == "uploads · belong"


def test_only_tiles_near_the_window_of_five_thousand_are_in_the_page(
    browser: Browser, gallery_data: Small, tmp_path: Path
) -> None:
    rows = pd.concat([gallery_data.rows] * 17, ignore_index=True).iloc[:5000]
    rows["path"] = [f"{place:04}.png" for place in rows.index]
    rows["score"] = np.linspace(100, 1, 5000)
    pictures = {place: gallery_data.pictures[place % 300] for place in rows.index}
    many = tmp_path / "many.html"
    many.write_text(gallery_data.page(rows=rows, pictures=pictures, nearest={}), encoding="utf-8")
    with chromium.opened(browser, many.as_uri()) as page:
        assert len(shown_paths(page)) == 5000
        tile(page, 0).focus()
        page.keyboard.press("End")
        assert page.locator(".tile").count() < 300
        np.testing.assert_array_equal(
            pixels(tile(page, 4999).locator("canvas")), gallery_data.pictures[4999 % 300, 0]
        )
        tile(page, 4999).click()
        expect(page.get_by_role("dialog").locator(".path")).to_have_text("4999.png")
        expect(page.get_by_text("Nearest training images")).to_be_hidden()


def test_an_empty_folder_has_a_page_that_says_so(
    browser: Browser, gallery_data: Small, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.html"
    empty.write_text(
        gallery_data.page(rows=gallery_data.rows.iloc[:0], with_pictures=[]), encoding="utf-8"
    )
    with chromium.opened(browser, empty.as_uri()) as page:
        expect(page.get_by_text("There are no images.")).to_be_visible()
        assert shown_paths(page) == []


@pytest.mark.parametrize("width", [390, 700, 1000, 1400])
def test_the_page_does_not_scroll_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.wait_for_timeout(100)  # it is redrawn in the next frame
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tile(page, 0).click()
    assert (
        page.get_by_role("dialog").evaluate("panel => panel.scrollWidth - panel.clientWidth") <= 0
    )


@pytest.mark.parametrize(("unfolded", "stops"), [(False, 5), (True, 10)])
def test_on_a_narrow_window_tab_still_goes_from_top_to_bottom(
    page: Page, unfolded: bool, stops: int
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(100)
    if unfolded:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    tops = []
    for _ in range(stops):
        page.keyboard.press("Tab")
        tops.append(page.evaluate("document.activeElement.getBoundingClientRect().top + scrollY"))
    assert tops == sorted(tops)


def test_on_a_narrow_window_the_filters_are_folded_and_an_image_is_on_the_first_screen(
    page: Page,
) -> None:
    order = page.get_by_label("Order")
    expect(order).to_be_visible()
    page.set_viewport_size({"width": 420, "height": 900})
    expect(order).to_be_hidden()
    box = tile(page, 0).bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 900
    page.get_by_text("Filter and sort").click()
    expect(order).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(page.get_by_text("Filter and sort")).to_be_hidden()
    expect(order).to_be_visible()


@pytest.mark.parametrize(("width", "columns"), [(1280, 5), (420, 2)])
def test_photos_are_shown_whole_in_tiles_and_larger_in_the_panel(
    browser: Browser, gallery_data: Small, tmp_path: Path, width: int, columns: int
) -> None:
    photo = thumbnail(Image.linear_gradient("L").resize((320, 200)), side_px=320)
    nearest = {place: [(0, 1.5), (1, 2.5)] for place in range(12)}
    (tmp_path / "photos.html").write_text(
        gallery_data.page(
            pictures=dict.fromkeys(range(12), photo),
            nearest=nearest,
            training_pictures={0: photo, 1: photo},
        ),
        encoding="utf-8",
    )
    with chromium.opened(browser, (tmp_path / "photos.html").as_uri()) as page:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(100)
        tops = page.locator(".tile").evaluate_all("all => all.map((one) => one.style.top)")
        assert tops.count("0px") == columns
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture = tile(page, 0).locator("img.photo")
        expect(picture).to_have_js_property("naturalWidth", 320)
        assert picture.evaluate("one => getComputedStyle(one).objectFit") == "contain"
        tile(page, 0).click()
        large = page.get_by_role("dialog").locator(".picture img.photo")
        assert large.evaluate("one => one.getBoundingClientRect().width") >= 300
        expect(page.locator(".nearest img.photo")).to_have_count(2)
        panel = page.get_by_role("dialog")
        assert panel.evaluate("panel => panel.scrollWidth - panel.clientWidth") <= 0
