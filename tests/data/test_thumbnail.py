"""Thumbnails show the whole photo and stay within the size limit of a page."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from belong.data.decode_pool import Decoder, decoded
from belong.data.image_form import ImageForm
from belong.data.resize import Form
from belong.data.thumbnail import SIDES_PX, side_for, thumbnail

WHITE = (255, 255, 255)


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG"
    return image


def waves(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    values = 128 + 100 * np.stack([np.sin(x / 40), np.cos(y / 30), np.sin((x + y) / 50)], axis=2)
    return Image.fromarray(values.astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((900, 600), (192, 128)), ((300, 600), (96, 192)), ((100, 80), (100, 80))],
)
def test_a_thumbnail_has_the_shape_of_the_photo_and_is_never_larger(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    image = waves(*size)
    small = opened(thumbnail(image, side_px=192))
    assert small.size == expected
    whole = image.resize(expected, Image.Resampling.BOX)
    assert np.abs(np.asarray(small).astype(float) - np.asarray(whole)).mean() < 3
    assert image.size == size


@pytest.mark.parametrize("side_px", SIDES_PX)
def test_noise_takes_no_more_bytes_than_a_photo_may(side_px: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    assert len(thumbnail(Image.fromarray(noise), side_px=side_px)) <= SIDES_PX[side_px]


def test_the_more_photos_the_smaller_each() -> None:
    assert [side_for(n, budget=1_200_000) for n in (0, 70, 71, 100, 101, 10**6)] == [
        320, 320, 256, 256, 192, 96,
    ]  # fmt: skip


def test_the_pixels_that_are_scored_do_not_depend_on_the_thumbnail(tmp_path: Path) -> None:
    waves(1600, 1200).save(tmp_path / "a.jpg", quality=90)
    plain = Decoder(Form(28, 28, "rgb"), WHITE, 10**7).decode(tmp_path / "a.jpg")
    with_thumbnail = Decoder(Form(28, 28, "rgb"), WHITE, 10**7, 320).decode(tmp_path / "a.jpg")
    assert not isinstance(plain, str)
    assert not isinstance(with_thumbnail, str)
    np.testing.assert_array_equal(plain.pixels, with_thumbnail.pixels)
    assert plain.thumbnail == b""
    assert opened(with_thumbnail.thumbnail).size == (320, 240)  # 28 pixels need but 200 x 150 of it


def test_a_small_image_has_no_thumbnail(tmp_path: Path) -> None:
    waves(64, 48).save(tmp_path / "a.png")
    picture = Decoder(Form(28, 28, "rgb"), WHITE, 10**7, 320).decode(tmp_path / "a.png")
    assert not isinstance(picture, str)
    assert picture.thumbnail == b""


def test_processes_give_the_thumbnails_that_this_one_makes(tmp_path: Path) -> None:
    files = []
    for place in range(40):
        files.append(tmp_path / f"{place}.png")
        waves(200 + place, 100).save(files[-1])
    form = ImageForm(
        channels=3, height=8, width=8, color="rgb", resize="cover", background=WHITE,
        max_pixels=10**6,
    )  # fmt: skip
    (answers,) = decoded([files], form, jobs=2, thumbnail_px=96)
    local = [Decoder.of(form, thumbnail_px=96).decode(file) for file in files]
    thumbnails = [(one.frames, one.thumbnail) for one in answers if not isinstance(one, str)]
    assert thumbnails == [(one.frames, one.thumbnail) for one in local if not isinstance(one, str)]
    assert len(thumbnails) == 40
