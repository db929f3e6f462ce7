"""Packing: all images of a folder in one form, and a list of the unreadable files."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from belong.data.loader import Packed, check_enough, look, own_form, pack, unread_heif
from belong.data.resize import Form, all_formed, formed
from belong.runtime.errors import InputError, TooManyBadFilesError
from tests.idx_files import some_images, write_folder
from tests.photo_folders import write_images

RGB = Form(8, 8, "rgb")
LIST = Path("data/bad.csv")


def packed(folder: Path, form: Form = RGB) -> Packed:
    return pack(look(folder), form, background=(255, 255, 255), max_pixels=1_000_000)


# --- form ----------------------------------------------------------------------------------------


def test_the_middle_of_a_wide_image_is_kept() -> None:
    """Six columns of 0, 50, ... 250: the middle two are kept, at the size that they have."""
    wide = np.tile(np.arange(0, 300, 50, dtype=np.uint8), (2, 1))
    assert formed(Image.fromarray(wide), Form(2, 2, "grey")).tolist() == [[[100, 150]] * 2]


def test_an_image_that_has_the_form_keeps_every_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(formed(Image.fromarray(image), RGB), image.transpose(2, 0, 1))


def test_a_smaller_image_is_the_mean_of_its_pixels_and_not_a_choice_of_them() -> None:
    """A fine checkerboard of 0 and 255 becomes an even grey: antialiased."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = formed(Image.fromarray(board), Form(8, 8, "grey")).astype(int)
    assert np.abs(small - 127.5).max() < 3


def test_color_becomes_grey_by_its_luma() -> None:
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    # 0.299, 0.587 and 0.114 of 255.
    pixels = formed(Image.fromarray(image), Form(1, 3, "grey"))
    assert pixels.tolist() == [[[76, 150, 29]]]


def test_grey_becomes_three_equal_channels() -> None:
    image = np.array([[3, 200]], np.uint8)
    assert formed(Image.fromarray(image), Form(1, 2, "rgb")).tolist() == [[[3, 200]]] * 3


def test_idx_images_decide_their_own_form_and_files_are_given_one(tmp_path: Path) -> None:
    idx = look(write_folder(tmp_path / "idx", train_labels=[0, 1], test_labels=[1]))
    files = look(write_images(tmp_path / "photos", "a/1.png"))
    assert own_form(idx, side_px=224, color="rgb") == Form(3, 2, "grey")
    assert own_form(files, side_px=224, color="auto") == Form(224, 224, "auto")


@pytest.mark.parametrize(
    ("color_of", "channels"), [("none", 1), ("one", 3), ("all", 3)], ids=lambda value: str(value)
)
def test_auto_is_grey_only_if_every_image_is(tmp_path: Path, color_of: str, channels: int) -> None:
    write_images(tmp_path, "a/1.png", "b/1.png", grey=color_of != "all")
    write_images(tmp_path, "a/2.png", grey=color_of == "none")
    data = packed(tmp_path, Form(8, 8, "auto")).data
    assert data.images.shape == (3, channels, 8, 8)
    with_rgb = packed(tmp_path, RGB).data.images
    np.testing.assert_array_equal(data.images, with_rgb[:, :channels])


def test_grey_saved_as_color_counts_as_grey(tmp_path: Path) -> None:
    write_images(tmp_path, "a/1.png", grey=True)
    Image.open(tmp_path / "a" / "1.png").convert("RGB").save(tmp_path / "a" / "2.png")
    assert packed(tmp_path, Form(8, 8, "auto")).form == Form(8, 8, "grey")


def test_idx_images_stay_as_they_are(tmp_path: Path) -> None:
    contents = look(write_folder(tmp_path, train_labels=[0, 1], test_labels=[1]))
    pack_result = pack(contents, RGB, background=(0, 0, 0), max_pixels=1)
    assert pack_result.data is contents


def test_images_of_another_form_are_brought_to_it() -> None:
    images = np.array([[[[10, 200], [10, 200]]]], np.uint8)
    color = all_formed(images, Form(2, 2, "rgb"))
    assert color.tolist() == [[[[10, 200], [10, 200]]] * 3]
    assert all_formed(color, Form(2, 2, "grey")).tolist() == images.tolist()


def test_images_that_have_the_form_are_not_touched() -> None:
    images = np.zeros((2, 3, 8, 8), np.uint8)
    assert all_formed(images, RGB) is images


# --- files ---------------------------------------------------------------------------------------


def test_the_rows_are_the_sorted_files(tmp_path: Path) -> None:
    names = ["b/2.png", "a/1.png", "b/1.png"]
    data = packed(write_images(tmp_path, *names, side_px=8)).data
    assert data.sources.tolist() == ["a/1.png", "b/1.png", "b/2.png"]
    assert data.labels.tolist() == [0, 1, 1]
    for image, name in zip(data.images, sorted(names), strict=True):
        read = np.asarray(Image.open(tmp_path / name)).transpose(2, 0, 1)
        np.testing.assert_array_equal(image, read)


@pytest.mark.pipeline
@pytest.mark.parametrize("processors", [1, 3, 16])
def test_the_number_of_workers_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    names = [f"{name}/{i}.png" for name in "abc" for i in range(20)]
    write_images(tmp_path, *names)
    (tmp_path / "b" / "7.png").write_bytes(b"")
    expected = packed(tmp_path)
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    pack_result = packed(tmp_path)
    np.testing.assert_array_equal(pack_result.data.images, expected.data.images)
    assert pack_result.data.sources.tolist() == expected.data.sources.tolist()
    assert pack_result.unreadable == expected.unreadable == [("b/7.png", "empty: 0 bytes")]


def test_what_cannot_be_read_is_left_out_and_listed_with_the_reason(tmp_path: Path) -> None:
    write_images(tmp_path, "a/1.png", "a/2.png", "b/1.png", "b/3.png", side_px=8)
    (tmp_path / "a" / "0.jpg").write_text("no image")
    (tmp_path / "b" / "2.png").write_bytes((tmp_path / "b" / "3.png").read_bytes()[:-60])
    (tmp_path / "b" / "notes.txt").touch()
    pack_result = packed(tmp_path)
    assert pack_result.unreadable == [
        ("a/0.jpg", "not an image, or not in a supported format"),
        ("b/2.png", "cut off: image file is truncated"),
    ]
    assert pack_result.ignored == [("b/notes.txt", "not an image, by its name and content")]
    assert pack_result.data.sources.tolist() == ["a/1.png", "a/2.png", "b/1.png", "b/3.png"]
    assert pack_result.data.labels.tolist() == [0, 0, 1, 1]
    expected = np.asarray(Image.open(tmp_path / "b" / "3.png")).transpose(2, 0, 1)
    np.testing.assert_array_equal(pack_result.data.images[3], expected)


def test_too_many_bad_files_are_refused_with_their_count_share_and_the_first(
    tmp_path: Path,
) -> None:
    write_images(tmp_path, *(f"a/{i}.png" for i in range(9)))
    (tmp_path / "a" / "9.png").touch()
    pack_result = packed(tmp_path)
    check_enough(pack_result, tmp_path, max_bad_fraction=0.1, list_name=LIST)
    message = (
        r": expected at most 9% unreadable images .* got 1 of 10 \(10%\); "
        r"data/bad.csv lists them, the first: a/9.png \(empty: 0 bytes\)$"
    )
    with pytest.raises(TooManyBadFilesError, match=message):
        check_enough(pack_result, tmp_path, max_bad_fraction=0.09, list_name=LIST)


def test_a_share_that_is_exactly_the_one_allowed_is_enough(tmp_path: Path) -> None:
    """29 of 100; 0.29 x 100 is 28.999999999999996."""
    write_images(tmp_path, *(f"a/{i}.png" for i in range(71)))
    for i in range(71, 100):
        (tmp_path / "a" / f"{i}.png").touch()
    check_enough(packed(tmp_path), tmp_path, max_bad_fraction=0.29, list_name=LIST)


def test_a_class_of_which_no_image_can_be_read_is_refused_whatever_is_allowed(
    tmp_path: Path,
) -> None:
    write_images(tmp_path, "a/1.png")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").touch()
    message = r": no image of class b can be read; data/bad.csv lists them, the first: b/1.png"
    with pytest.raises(TooManyBadFilesError, match=message):
        check_enough(packed(tmp_path), tmp_path, max_bad_fraction=1, list_name=LIST)


# --- looking -------------------------------------------------------------------------------------


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}/nowhere: no such folder$"):
        look(tmp_path / "nowhere")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(
        InputError, match=r"images\.zip: expected a folder with images or IDX files"
    ):
        look(tmp_path / "images.zip")


def test_a_folder_with_one_idx_file_is_one_of_idx_files(tmp_path: Path) -> None:
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(some_images(1).tobytes()))
    with pytest.raises(InputError, match="train-images-idx3-ubyte: no such file"):
        look(tmp_path)


def test_heic_photos_of_all_folders_are_counted_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    listings = []
    for folder in ("ours", "others"):
        write_images(tmp_path / folder, "a/0.png")
        (tmp_path / folder / "a/1.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
        listings.append(look(tmp_path / folder))
    assert unread_heif(*listings).startswith("2 HEIC photos cannot be read; ")
    monkeypatch.undo()
    assert unread_heif(*listings) == ""
