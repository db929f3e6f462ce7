"""Encode small pictures as data URIs."""

import base64
import io
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from PIL import Image

# Longest side in pixels; the next smaller one if all pictures together are too large.
SIDES_PX = (64, 48, 32)
MOST_CHARACTERS = 3_000_000


def thumbnails(images: Mapping[str, np.ndarray], ink: Collection[str]) -> dict[str, str]:
    """Return a PNG data URI for each image (ch, h, w) uint8, reduced if it is larger.

    Colors are reduced to 256 per image, which halves the page and is hardly visible at this size.
    Images of the parts in `ink` are inverted if they have one channel.
    """
    uris: dict[str, str] = {}
    for side in SIDES_PX:
        uris = {
            name: _thumbnail(255 - image if name in ink and len(image) == 1 else image, side)
            for name, image in images.items()
        }
        if sum(map(len, uris.values())) <= MOST_CHARACTERS:
            break
    return uris


def _thumbnail(image: np.ndarray, side: int) -> str:
    picture = picture_of(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return data_uri(picture if len(image) == 1 else picture.quantize(256), "png", optimize=True)


def picture_of(image: np.ndarray) -> Image.Image:
    """Convert an image (ch, h, w) uint8 to Pillow."""
    return Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def data_uri(picture: Image.Image, form: str, **options: Any) -> str:
    """Encode a picture as a data URI in the format "png" or "webp"."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return f"data:image/{form};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
