"""The gallery: its choice of images, its pictures, and the restrictions of the page."""

import base64
import hashlib
import io
import itertools
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from belong.data.thumbnail import SIDES_PX, thumbnail
from belong.reporting.gallery.render import histogram
from belong.reporting.gallery.selection import PHOTO_BYTES, photo_px, telling
from belong.reporting.gallery.sprite_sheets import reduced, sheets
from tests.small_gallery import Small, small_gallery


@pytest.fixture(scope="module")
def small() -> Small:
    return small_gallery()


def data_of(page: str) -> dict[str, Any]:
    """Return the JSON that the page carries."""
    (text,) = re.findall(r'id="gallery-data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data


# --- which images -------------------------------------------------------------------------------


def test_two_fifths_are_the_most_anomalous_two_fifths_near_the_threshold_and_the_rest_drawn() -> (
    None
):
    scores = np.array([0, 9, 2, 8, 4, 5, 6, 7, 1, 3.0])
    all_rows = set()
    for seed in range(30):
        rows = telling(scores, threshold=4.6, most=5, generator=np.random.default_rng(seed))
        assert (np.diff(rows) > 0).all()
        selection = {int(scores[place]) for place in rows}
        assert selection > {9, 8, 5, 4}
        all_rows |= selection
    assert all_rows == set(range(10))


def test_all_images_are_in_the_page_if_they_fit() -> None:
    scores = np.array([3.0, 1.0, 2.0])
    rows = telling(scores, threshold=1, most=3, generator=np.random.default_rng(0))
    assert rows.tolist() == [0, 1, 2]


def test_a_page_that_does_not_hold_all_says_which_and_counts_all(small: Small) -> None:
    page = small.page(with_pictures=range(10))
    assert (
        "shows 10 of 300 images: the 4 most anomalous, the 4 nearest to the threshold, and a "
        "random sample of 2 others"
    ) in page
    assert "<dt>images</dt><dd>300</dd>" in page
    rejected = int((~small.rows["belongs"]).sum())
    assert f'<p class="result">{rejected} of 300 images do not belong.</p>' in page
    assert sum(data_of(page)["histogram"]["counts"]) == 300
    assert "holds" not in small.page().split("gallery-data")[0].split("<main>")[1]


# --- pictures -----------------------------------------------------------------------------------


def sheet(uri: str) -> np.ndarray:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))


def test_a_small_gray_picture_keeps_each_pixel_and_its_place_on_the_sheet(small: Small) -> None:
    sprite = sheets(list(small.pictures[:123]))
    assert (len(sprite.uris), sprite.width, sprite.height, sprite.across) == (2, 28, 28, 10)
    first, second = map(sheet, sprite.uris)
    assert (first.shape, second.shape) == ((280, 280, 3), (84, 280, 3))
    np.testing.assert_array_equal(first[28:56, 56:84, 0], small.pictures[12, 0])
    np.testing.assert_array_equal(second[56:84, 56:84, 0], small.pictures[122, 0])


def test_a_color_picture_keeps_its_colors_up_to_a_pixel_from_its_neighbor() -> None:
    red, blue = np.zeros((2, 3, 64, 64), np.uint8)
    red[0], blue[2] = 200, 200
    pixels = sheet(sheets([red, blue]).uris[0])[:, :128].astype(int)
    assert np.abs(pixels[:, :63] - [200, 0, 0]).max() < 12
    assert np.abs(pixels[:, 65:127] - [0, 0, 200]).max() < 12


def test_pictures_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"picture 1: shape \(1, 3, 2\); expected \(1, 2, 2\)"):
        sheets([np.zeros((1, 2, 2), np.uint8), np.zeros((1, 3, 2), np.uint8)])


@pytest.mark.parametrize(
    ("shape", "small_shape"),
    [((3, 100, 200), (3, 32, 64)), ((1, 28, 28), (1, 28, 28)), ((1, 130, 65), (1, 64, 32))],
)
def test_a_large_image_is_reduced_to_64_pixels_and_keeps_its_shape(
    shape: tuple[int, ...], small_shape: tuple[int, ...]
) -> None:
    image = np.full(shape, 77, np.uint8)
    small_image = reduced(image)
    assert small_image.shape == small_shape
    assert (small_image == 77).all()


def jpeg(width: int, height: int, grey: int) -> bytes:
    return thumbnail(Image.new("RGB", (width, height), (grey, grey, grey)), side_px=320)


def test_photos_stand_in_the_page_as_they_are_and_small_images_on_sheets(small: Small) -> None:
    """Rows 7 and 9 are photos, 5 and 8 digits; the page has them by their scores."""
    pictures = {
        5: small.pictures[5],
        7: jpeg(320, 200, 9),
        8: small.pictures[8],
        9: jpeg(96, 96, 2),
    }
    data = data_of(small.page(pictures=pictures, nearest={}))
    sheet_data, order = data["pictures"], data["images"]["row"]
    for row, photo, at in zip(order, sheet_data["photos"], sheet_data["at"], strict=True):
        if row in (7, 9):
            assert at is None
            assert base64.b64decode(photo.removeprefix("data:image/jpeg;base64,")) == pictures[row]
        else:
            assert photo is None
            left = 28 * at
            pixels = sheet(sheet_data["uris"][0])[:28, left : left + 28, 0]
            np.testing.assert_array_equal(pixels, small.pictures[row, 0])


def test_without_photos_the_places_on_the_sheets_are_those_of_the_images(small: Small) -> None:
    pictures = data_of(small.page(with_pictures=[1, 2, 3]))["pictures"]
    assert (pictures["photos"], pictures["at"]) == ([], [])


def test_a_page_of_many_photos_is_no_heavier_than_one_of_some() -> None:
    assert [photo_px(n) for n in (1, 800, 1000, 5000, 10**6)] == [320, 320, 256, 96, 96]
    for n in (1, 1000, 5000):
        assert n * SIDES_PX[photo_px(n)] <= PHOTO_BYTES


# --- numbers ------------------------------------------------------------------------------------


def test_the_bars_count_each_score_once_and_one_on_an_edge_in_the_bar_above() -> None:
    scores = np.linspace(-1, 1, 61)  # the ends of 60 bars
    bars = histogram(scores, 0.0)
    counts, edges = np.array(bars["counts"]), np.array(bars["edges"])
    assert counts.sum() == 61
    inner = slice(1, -1)
    by_hand = [((scores >= low) & (scores < high)).sum() for low, high in itertools.pairwise(edges)]
    np.testing.assert_array_equal(counts[inner], by_hand[inner])


@pytest.mark.parametrize("threshold", [0.01, 50.0])
def test_a_threshold_beyond_all_scores_lies_on_the_axis(threshold: float) -> None:
    scores = np.random.default_rng(0).uniform(1, 2, 10_000)
    edges = histogram(scores, threshold)["edges"]
    assert edges[0] <= threshold <= edges[-1]


def test_without_an_image_there_are_bars_of_height_zero() -> None:
    bars = histogram(np.array([]), 2.0)
    assert (len(bars["edges"]), sum(bars["counts"])) == (61, 0)


def test_the_images_come_with_the_highest_score_first_and_only_training_images_near_one(
    small: Small,
) -> None:
    data = data_of(small.page(with_pictures=[5, 250, 17]))
    rows = small.rows.loc[data["images"]["row"]]
    assert rows["score"].is_monotonic_decreasing
    near = sorted({place for row in (5, 17, 250) for place, _ in small.nearest[row]})
    assert data["training"]["class"] == [small.training_classes[place] for place in near]
    first = data["images"]["nearest"][0]
    assert [near[place] for place, _ in first] == [
        place for place, _ in small.nearest[rows.index[0]]
    ]


def test_what_is_missing_in_a_row_is_null(small: Small) -> None:
    rows = small.rows.astype({"class": object})
    rows.loc[3, ["probability", "distance"]] = np.inf, np.nan
    rows.loc[3, ["class", "reason"]] = None
    images = data_of(small.page(rows=rows, with_pictures=[3]))["images"]
    keys = ("probability", "distance", "class", "reason", "nearest_class")
    assert [images[key] for key in keys] == [[None]] * 4 + [[small.rows["nearest_class"][3]]]


def test_a_column_that_is_missing_is_named(small: Small) -> None:
    with pytest.raises(ValueError, match="rows: no column p_value, belongs; expected path, class"):
        small.page(rows=small.rows.drop(columns=["belongs", "p_value"]))


def test_a_score_that_is_no_number_is_refused_with_its_path(small: Small) -> None:
    rows = small.rows.assign(score=small.rows["score"].where(small.rows.index != 7))
    with pytest.raises(ValueError, match=r"^folder/Image 007\.png: score nan; expected a finite"):
        small.page(rows=rows)


# --- what the page may do -----------------------------------------------------------------------


def test_the_policy_allows_the_style_and_the_script_of_the_page_and_pictures_in_it(
    small: Small,
) -> None:
    page = small.page()

    def digest(pattern: str) -> str:
        (text,) = re.findall(pattern, page, re.DOTALL)
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy.replace("&#39;", "'") == (
        "default-src 'none'; img-src data:; "
        f"style-src 'sha256-{digest('<style>(.*?)</style>')}'; "
        f"script-src 'sha256-{digest('<script>(.*?)</script>')}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_there_is_no_handler_no_style_and_no_link_in_the_markup(small: Small) -> None:
    markup = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", small.page(), flags=re.DOTALL)
    assert re.findall(r"\s(?:on\w+|style|src)=", markup) == []
    assert re.findall(r'href="([^"]+)"', markup) == ["data:,"]


def test_the_same_rows_make_the_same_page_to_the_byte(small: Small) -> None:
    assert small.page() == small.page()


def test_markup_and_bytes_that_are_no_text_pass_through_every_text_of_the_page(
    small: Small,
) -> None:
    bad = "</script><script>'\"&\udcff"
    rows = small.rows.assign(path=bad, reason=bad, detector=bad, nearest_class=bad)
    page = small.page(rows=rows, with_pictures=[0], title=bad, facts={bad[:-1]: bad[:-1]})
    page.encode("utf-8")
    assert page.count("</script>") == 2
    assert data_of(page)["images"]["path"] == ["</script><script>'\"&\\xff"]
