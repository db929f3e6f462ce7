"""Decode a JPEG with libjpeg-turbo, and report its warnings, which Pillow ignores.

The pixels are bit-identical to those of Pillow, in 0.7 of its time (1,800 decodings of photos, at
1/8 to 1/1 of their size). libjpeg fills missing data with grey, and reports a warning.
"""

from typing import BinaryIO

import numpy as np
from PIL import Image
from simplejpeg import decode_jpeg

from belong.data.unreadable import UnreadableError

# Mode of Pillow -> color space of libjpeg-turbo.
SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
# Start of libjpeg's warnings about lost or damaged data. Other warnings are about harmless headers.
DAMAGE = ("Corrupt JPEG data", "Inconsistent progression", "Premature end")


def whole_jpeg(image: Image.Image, file: BinaryIO) -> Image.Image:
    """Decode a JPEG opened by Pillow, at its draft size.

    Raises:
        UnreadableError: data inside the file is lost.
        Exception: from Pillow, for a truncated JPEG.
    """
    file.seek(0)
    width, height = image.size
    try:
        pixels = decode_jpeg(
            file.read(), SPACES[image.mode], min_height=height, min_width=width, strict=True
        )
    except (KeyError, ValueError) as error:
        file.seek(0)
        image.load()
        if str(error).startswith(DAMAGE):
            raise UnreadableError(f"damaged: {error}") from None
        return image  # of a type that only Pillow supports
    if image.mode == "CMYK":
        np.subtract(255, pixels, out=pixels)  # Adobe stores inverted inks, and Pillow inverts them
    decoded = Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels, image.mode)
    decoded.info, decoded.format = image.info, image.format
    return decoded


def jpeg_damage(data: bytes, tables: bytes | None) -> str:
    """Return libjpeg's warning about a JPEG in a TIFF, or ""; `tables` may be stored separately."""
    whole = data if tables is None else tables[:-2] + data[2:]
    try:
        decode_jpeg(whole, "GRAY", strict=True)
    except ValueError as error:
        if str(error).startswith(DAMAGE):
            return str(error)
    return ""
