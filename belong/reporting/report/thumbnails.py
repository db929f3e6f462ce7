"""Small pictures that stand in the page itself, as data URIs."""

import base64
import io
from collections.abc import Collection, Mapping

import numpy as np
from PIL import Image

# The longest side, in pixels; the next smaller one where all pictures together grow too large.
SIDES_PX = (64, 48, 32)
MOST_CHARACTERS = 3_000_000


def thumbnails(images: Mapping[str, np.ndarray], ink: Collection[str]) -> dict[str, str]:
    """Return a PNG data URI for each image (ch, h, w) uint8, reduced where it is larger.

    Colours are cut down to 256 for each image, which halves the page and is hardly seen at this
    size.

    Args:
        images: name -> image.
        ink: the names of those that are shown inverted, where they have one channel.
    """
    made: dict[str, str] = {}
    for side in SIDES_PX:
        made = {
            name: _data_uri(255 - image if name in ink and len(image) == 1 else image, side)
            for name, image in images.items()
        }
        if sum(map(len, made.values())) <= MOST_CHARACTERS:
            break
    return made


def _data_uri(image: np.ndarray, side: int) -> str:
    gray = image.shape[0] == 1
    picture = Image.fromarray(image[0] if gray else image.transpose(1, 2, 0))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    (picture if gray else picture.quantize(256)).save(written, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
