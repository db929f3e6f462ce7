"""The number of frames is read from the content of a file."""

from pathlib import Path

import pytest
from PIL import Image

from belong.data.image_reader import read_file


def pictures(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (8, 8), (60 * place, 0, 99)) for place in range(count)]


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif", "a.avif"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_frames_of_a_file_are_counted(tmp_path: Path, name: str, count: int) -> None:
    first, *rest = pictures(count)
    first.save(tmp_path / name, save_all=True, append_images=rest)
    assert frames_in(tmp_path / name) == count


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    first, *rest = pictures(2)
    first.save(tmp_path / "a.jpg", format="GIF", save_all=True, append_images=rest)
    assert frames_in(tmp_path / "a.jpg") == 2


def test_a_file_whose_later_frames_are_damaged_counts_as_one_frame(tmp_path: Path) -> None:
    first, *rest = pictures(3)
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest)
    whole = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(whole[: len(whole) - 40])  # within the second
    assert frames_in(tmp_path / "a.gif") == 1


def frames_in(path: Path) -> int:
    content = read_file(path, needed_px=8, max_pixels=1000, background=(0, 0, 0))
    return content.frames
