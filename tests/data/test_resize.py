"""An image that already has the right form is not resized; resizing would give the same."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from belong.data.resize import Color, Form, formed

NOISE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_an_image_of_the_right_size_is_what_resizing_and_converting_make_of_it(
    mode: str, color: Color
) -> None:
    image = Image.fromarray(NOISE).convert(mode)
    resized = ImageOps.fit(image, (9, 6), Image.Resampling.BICUBIC)
    pixels = np.asarray(resized.convert("L" if color == "grey" else "RGB"))
    expected = pixels[None] if color == "grey" else pixels.transpose(2, 0, 1)
    assert np.array_equal(formed(image, Form(6, 9, color)), expected)
