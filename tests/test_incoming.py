"""All that ought to be an image is found, in order, whatever else lies in a folder of uploads."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from belong.decoder import Wanted, decode
from belong.decoding import AHEAD, decoded
from belong.errors import InputError
from belong.incoming import below, listed
from belong.manifest import ImageForm
from tests.photo_folders import write_images

FORM = ImageForm(
    channels=1, height=4, width=4, color="grey", resize="cover", background=(255, 255, 255),
    max_pixels=1000,
)  # fmt: skip
WANTED = Wanted.of(FORM)


def test_files_come_in_the_order_of_their_sorted_paths(tmp_path: Path) -> None:
    names = ["a-b.png", "a/b.png", "a/b/c.png", "a.png", "B.png", "b/a.png"]
    write_images(tmp_path, *names)
    by_path = [str(path) for path in sorted(Path(name) for name in names)]
    assert below(tmp_path).files == by_path


def test_what_is_hidden_or_no_image_by_its_name_is_ignored(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png", ".b.png", ".thumbs/c.png", "__MACOSX/d.png")
    (tmp_path / "notes.txt").write_text("")
    found = below(tmp_path)
    assert found.files == ["a.png"]
    assert sorted(found.ignored) == [".b.png", ".thumbs", "__MACOSX", "notes.txt"]


@pytest.mark.parametrize("name", ["a.heic", "a.SVG", "a.pdf"])
def test_pictures_of_kinds_that_are_not_read_are_named_and_not_passed_over(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("x")
    assert below(tmp_path).files == [name]
    why = decode(tmp_path / name, WANTED)
    assert why == f"{Path(name).suffix.lower()} is not read; save it as JPEG or PNG"


def test_links_that_run_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    write_images(tmp_path, "in/a.png")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "z").symlink_to(tmp_path / "in")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    found = below(tmp_path)
    assert found.files == ["in/a.png", "self.png"]
    assert decode(tmp_path / "self.png", WANTED) == "a link to nothing"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_is_shut_is_listed_with_the_reason(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png", "shut/b.png")
    (tmp_path / "shut").chmod(0)
    found = below(tmp_path)
    (tmp_path / "shut").chmod(0o700)
    assert (found.files, found.shut) == (["a.png"], [("shut", "Permission denied")])


def test_a_folder_that_is_gone_meanwhile_is_listed_with_the_reason(tmp_path: Path) -> None:
    assert below(tmp_path / "gone").shut == [(".", "No such file or directory")]


def test_a_folder_without_an_image_says_what_else_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match="no image in it, 1 other file or folder"):
        below(tmp_path)


def test_listed_paths_are_sorted_and_each_is_taken_once() -> None:
    found = listed([b"b/x.png\n", b"a.dat\r\n", b"\n", b"b/x.png\n", b"caf\xe9.png"])
    assert found.files == ["a.dat", "b/x.png", "caf\udce9.png"]


def test_an_empty_list_is_a_mistake() -> None:
    with pytest.raises(InputError, match="standard input: no path in it"):
        listed([b"\n"])


def test_a_file_is_brought_to_the_form_of_the_model(tmp_path: Path) -> None:
    Image.new("RGB", (12, 8), (255, 0, 0)).save(tmp_path / "red.png")
    pixels = decode(tmp_path / "red.png", WANTED)
    # The luma of red: 0.299 x 255 = 76.2.
    np.testing.assert_array_equal(pixels, np.full((1, 4, 4), 76, np.uint8))


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "empty: 0 bytes"), (b"hello", "not an image, or of no kind that is read")],
)
def test_a_file_without_pixels_says_why(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert decode(tmp_path / "a.png", WANTED) == why


def test_a_name_that_is_too_long_says_so(tmp_path: Path) -> None:
    assert decode(tmp_path / ("a" * 300 + ".png"), WANTED) == "File name too long"


def test_batches_come_in_order_and_only_so_many_are_asked_for_ahead(tmp_path: Path) -> None:
    """Memory holds the batches that are decoded; there may be any number of them."""
    write_images(tmp_path, *(f"{i}.png" for i in range(10)), grey=True)
    asked = []

    def batches() -> Iterator[list[Path]]:
        for i in range(10):
            asked.append(i)
            yield [tmp_path / f"{i}.png"]

    for row, (picture,) in enumerate(decoded(batches(), FORM, jobs=2)):
        assert len(asked) <= row + AHEAD
        np.testing.assert_array_equal(picture, decode(tmp_path / f"{row}.png", WANTED))
    assert asked == list(range(10))
