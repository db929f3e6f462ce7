"""What one look at an image tells: its size, its color, and what it can be known again by.

Photos of 1 to 2 megapixels are decoded at an eighth of their size, as far as JPEG allows it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from belong.data.dataset import DataSet
from belong.data.decode_pool import each_image
from belong.data.image_folder import ImageFiles
from belong.data.image_reader import Rgb, UnreadableError, read_file

# Images are compared as grey squares of this side.
THUMBNAIL_PX = 16
# A JPEG is decoded no smaller than twice this, so that a thumbnail averages over some pixels.
NEEDED_PX = 32
# In an image of one color no two pixels differ by more, of 255: a JPEG leaves traces.
BLANK_RANGE = 4


@dataclass(frozen=True)
class Glance:
    """What one look tells.

    Attributes:
        shorter_px: of the sides of the file, before it is decoded smaller.
        longer_px: the other one.
        kind: the format that the content has, as Pillow calls it; "" of an image in an array.
        is_animated: the file has more than one frame; the first was looked at.
        is_grey: all channels are alike.
        is_blank: it has one color.
        digest: SHA-256 of size, mode and decoded pixels: equal for copies, whatever their names.
        thumbnail: (16, 16) uint8, grey.
    """

    shorter_px: int
    longer_px: int
    kind: str
    is_animated: bool
    is_grey: bool
    is_blank: bool
    digest: bytes
    thumbnail: np.ndarray


def table_of(looks: Sequence[Glance | str]) -> pd.DataFrame:
    """Return a row for each image: the attributes of `Glance`, or the `reason` that it has none."""
    told = [
        {"reason": one} if isinstance(one, str) else vars(one) | {"reason": ""} for one in looks
    ]
    return pd.DataFrame(told, columns=[*(one.name for one in fields(Glance)), "reason"])


def look_at_all(
    found: DataSet | ImageFiles, name: str, *, jobs: int | None, max_pixels: int, background: Rgb
) -> pd.DataFrame:
    """Look at each image of a data set, in `jobs` threads; return a row for each, see `table_of`.

    `name` stands on the progress bar; the other options are those of `read_file`.
    """

    def look(row: int) -> Glance | str:
        if isinstance(found, DataSet):
            return at_array(found.images[row])
        file = found.folder / found.files[row]
        try:
            return at_file(file, max_pixels=max_pixels, background=background)
        except UnreadableError as error:
            return str(error)

    return table_of(each_image(look, len(found.labels), f"reading {name}", jobs=jobs))


def at_file(path: Path, *, max_pixels: int, background: Rgb) -> Glance:
    """Look at a file; the options and errors are those of `read_file`."""
    content = read_file(path, needed_px=NEEDED_PX, max_pixels=max_pixels, background=background)
    return _glance(content.image, content.size, kind=content.kind, is_animated=content.frames > 1)


def at_array(pixels: np.ndarray) -> Glance:
    """Look at an image (ch, h, w) uint8, of 1 or 3 channels."""
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    return _glance(image, image.size, kind="", is_animated=False)


def _glance(image: Image.Image, size: tuple[int, int], *, kind: str, is_animated: bool) -> Glance:
    content = hashlib.sha256(f"{size} {image.mode} ".encode() + image.tobytes())
    # Averages over whole pixels first, and then the better filter.
    side = (THUMBNAIL_PX, THUMBNAIL_PX)
    small = image.resize(side, Image.Resampling.BILINEAR, reducing_gap=2)
    channels = np.atleast_3d(np.asarray(small))
    extrema: Any = image.getextrema()  # a pair, or one for each channel
    return Glance(
        shorter_px=min(size),
        longer_px=max(size),
        kind=kind,
        is_animated=is_animated,
        is_grey=bool((channels == channels[..., :1]).all()),
        is_blank=bool((np.ptp(np.atleast_2d(extrema), axis=1) <= BLANK_RANGE).all()),
        digest=content.digest(),
        thumbnail=np.asarray(small.convert("L")),
    )
