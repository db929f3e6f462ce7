"""Encode small pictures, a hundred per sheet, and photos, as data URIs.

What an image adds to the page, in characters: handwritten digits, grey, 28 px, 196 (265 in files of
their own; 218 as PNG); clothes, grey, 28 px, 529; crops of photos, in color, 64 px, 1,043
(1,000 images each, 5,000 crops; Pillow 12). Its numbers, path and reason take 270 more.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from belong.data.decode_pool import Picture
from belong.prediction.predictions import Scores
from belong.reporting.report.thumbnails import data_uri, picture_of

ACROSS = 10  # pictures in a row of a sheet, and rows
SIDE_PX = 64  # of pixels; photos are shown larger, see `belong.data.thumbnail`
# One channel and no larger: each pixel is kept, for each is seen when the picture is enlarged.
KEPT_SIDE_PX = 32
KEPT_BYTES = 2**28  # of pixels and features
QUALITY = 80  # of the others, as WebP counts it


@dataclass(frozen=True)
class Sheets:
    """Pictures of one size, row by row on square sheets.

    Attributes:
        uris: one for each sheet.
        width: of a picture, in pixels.
        height: of a picture, in pixels.
        across: how many are in a row of a sheet; a full sheet has as many rows.
    """

    uris: list[str]
    width: int
    height: int
    across: int = ACROSS


def reduced(image: np.ndarray, *, side_px: int = SIDE_PX) -> np.ndarray:
    """Return the image (ch, h, w) uint8 with its longer side cut down to `side_px`."""
    picture = picture_of(image)
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    small = np.asarray(picture)
    return small[None] if small.ndim == 2 else small.transpose(2, 0, 1)


# Of a small image its pixels (ch, h, w) uint8, of a photo a JPEG.
Shown = np.ndarray | bytes


def shown(picture: Picture) -> Shown:
    """Return what the page shows of an image: the photo itself, or the pixels of a small one."""
    return picture.thumbnail or reduced(picture.pixels)


class KeptImages:
    """Small pictures and features of images, kept while they are scored.

    Which images the page holds is known only when all are scored. So that no file is decoded
    twice, the first images are kept, up to KEPT_BYTES; those beyond are decoded again if the page
    holds them.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._kept: dict[str, tuple[Shown, np.ndarray]] = {}

    def observe(self, pictures: Mapping[str, Picture], scores: Scores) -> None:
        """Keep a batch: the pictures of m files, and their scores."""
        for (file, picture), features in zip(pictures.items(), scores.features, strict=True):
            if self._bytes >= KEPT_BYTES:
                return
            image = shown(picture)
            self._kept[file] = image, features
            self._bytes += len(image) if isinstance(image, bytes) else image.nbytes
            self._bytes += features.nbytes

    def take(self, file: str) -> tuple[Shown, np.ndarray] | None:
        """Return the picture and the features (d,) of a file, if kept."""
        return self._kept.get(file)


def photo_uri(content: bytes) -> str:
    """Return a JPEG as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")


def sheets(pictures: Sequence[np.ndarray]) -> Sheets:
    """Return the pictures, each (ch, h, w) uint8 with 1 or 3 channels, on sheets.

    Raises:
        ValueError: a picture has another shape than the first.
    """
    if not len(pictures):
        return Sheets([], 0, 0)
    shape = pictures[0].shape
    for place, picture in enumerate(pictures):
        if picture.shape != shape:
            raise ValueError(
                f"picture {place}: shape {picture.shape}; expected {shape}, that of picture 0"
            )
    full = ACROSS * ACROSS
    uris = [_data_uri(pictures[start : start + full]) for start in range(0, len(pictures), full)]
    return Sheets(uris, width=shape[2], height=shape[1])


def _data_uri(pictures: Sequence[np.ndarray]) -> str:
    channels, height, width = pictures[0].shape
    rows = -(-len(pictures) // ACROSS)
    sheet = np.zeros((channels, rows * height, ACROSS * width), np.uint8)
    for place, picture in enumerate(pictures):
        top, left = place // ACROSS * height, place % ACROSS * width
        sheet[:, top : top + height, left : left + width] = picture
    exact = channels == 1 and max(height, width) <= KEPT_SIDE_PX
    return data_uri(picture_of(sheet), "webp", lossless=exact, quality=QUALITY)
