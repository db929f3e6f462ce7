"""HEIC photos, as phones take them: the extra reads them; without it, a message says so."""

import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from belong.data.decode_pool import Decoder, decoded
from belong.data.image_form import ImageForm
from belong.data.image_reader import heif_without_reader, read_file
from belong.data.resize import Form
from belong.data.unreadable import UnreadableError
from tests import icc_profiles as icc
from tests.data.test_image_reader import CORNERS, UPRIGHT, photo, read

FORM = ImageForm(
    channels=3, height=32, width=32, color="rgb", resize="cover", background=(255, 255, 255),
    max_pixels=1_000_000,
)  # fmt: skip


def save(path: Path, image: Image.Image, **options: object) -> Path:
    pillow_heif.from_pillow(image).save(path, quality=95, **options)
    return path


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)


@pytest.mark.parametrize("name", ["a.heic", "a.HIF", "a.jpg"])
def test_a_heic_photo_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    image = photo(96, 64)
    save(tmp_path / "whole.heic", image).rename(tmp_path / name)
    content = read_file(tmp_path / name, needed_px=8, max_pixels=10**6, background=(255,) * 3)
    assert (content.kind, content.size, content.frames) == ("HEIF", (96, 64), 1)
    difference = np.asarray(content.image).astype(float) - np.asarray(image)
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_turned_photo_is_turned_once_though_its_box_and_its_exif_both_say_so(
    tmp_path: Path, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    large = Image.fromarray(CORNERS.repeat(32, axis=0).repeat(64, axis=1)).convert("RGB")
    content = save(tmp_path / "a.heic", large, exif=exif.tobytes()).read_bytes()
    assert (b"irot" in content or b"imir" in content) == (orientation > 1)
    assert b"Exif" in content
    picture = read(tmp_path / "a.heic")
    assert picture.size == ((128, 64) if orientation < 5 else (64, 128))
    high, wide = (32, 64) if orientation < 5 else (64, 32)
    corners = np.asarray(picture.convert("L"))[high // 2 :: high, wide // 2 :: wide].astype(int)
    assert np.abs(corners - np.array(UPRIGHT[orientation])).max() <= 6


def test_the_colors_of_a_phone_are_converted_to_srgb(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 64), (204, 60, 60))
    image.info["icc_profile"] = icc.rgb(icc.DISPLAY_P3)
    red, green, blue = np.asarray(read(save(tmp_path / "a.heic", image)))[32, 32].tolist()
    # By the formula of tests/data/test_color_profile.py: 224.1, 42.7, 54.9.
    assert (red, green, blue) == pytest.approx((224, 43, 55), abs=4)


def test_a_damaged_heic_photo_is_unreadable_and_the_others_are_read(tmp_path: Path) -> None:
    good = save(tmp_path / "a.heic", photo(96, 64))
    incomplete = tmp_path / "b.heic"
    incomplete.write_bytes(good.read_bytes()[:-400])
    (answers,) = decoded([[good, incomplete]], FORM, jobs=1)
    assert not isinstance(answers[0], str)
    assert isinstance(answers[1], str)


@pytest.mark.pipeline
def test_a_heic_photo_is_read_by_the_processes_that_decode(tmp_path: Path) -> None:
    files = [save(tmp_path / f"{place}.heic", photo(96, 64)) for place in range(40)]
    batches = list(decoded([files], FORM, jobs=1))
    assert [type(answer).__name__ for answer in batches[0]] == ["Picture"] * 40


def test_a_heic_photo_that_is_too_large_is_refused_by_its_header(tmp_path: Path) -> None:
    save(tmp_path / "a.heic", photo(96, 64))
    with pytest.raises(
        UnreadableError, match=r"96 x 64 is 0.0 megapixels; at most 0.001 are allowed"
    ):
        read_file(tmp_path / "a.heic", needed_px=8, max_pixels=1000, background=(255,) * 3)


@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_the_reason_says_how_to_get_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    decoder = Decoder(Form(8, 8, "rgb"), (255, 255, 255), 10**6)
    assert "pip install pillow-heif" in str(decoder.decode(path))


@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_heic_photos_are_counted_by_their_content(tmp_path: Path) -> None:
    for name in ("a.heic", "b.HIF", "c.jpg"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    photo(8, 8).save(tmp_path / "d.heic", "JPEG")
    (tmp_path / "e.heic").mkdir()
    assert heif_without_reader(sorted(tmp_path.iterdir())) == (
        "2 HEIC photos cannot be read; run pip install pillow-heif"
    )
    assert heif_without_reader([tmp_path / "d.heic"]) == ""


def test_with_the_extra_nothing_is_said(tmp_path: Path) -> None:
    assert heif_without_reader([save(tmp_path / "a.heic", photo(96, 64))]) == ""
