"""Encode small pictures, a hundred per sheet, and photos, as data URIs.

Size of an image on the page, in characters: handwritten digits, gray, 28 px, 196 (265 as separate
files; 218 as PNG); clothes, gray, 28 px, 529; crops of photos, in color, 64 px, 1,043 (1,000 images
each, 5,000 crops; Pillow 12). The numbers, path and reason of an image take 270 more.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from belong.data.decode_pool import Picture
from belong.prediction.predictions import Scores
from belong.reporting.report.thumbnails import data_uri, picture_of

ACROSS = 10  # rows of a sheet, and pictures per row
SIDE_PX = 64  # maximum side of a small picture; for photos see `belong.data.thumbnail`
# Gray pictures up to this side are stored without loss, as enlarged pixels are visible.
KEPT_SIDE_PX = 32
KEPT_BYTES = 2**26  # maximum size of kept pixels and features
LOSSY = {"quality": 80}
# A quarter of the time of Pillow's default effort, and 0.5% more bytes.
LOSSLESS = {"lossless": True, "method": 1, "quality": 20}


@dataclass(frozen=True)
class Sheets:
    """Pictures of one size, row by row on square sheets.

    Attributes:
        uris: data URI of each sheet.
        width: width of a picture in pixels.
        height: height of a picture in pixels.
        across: pictures per row; a full sheet has as many rows.
    """

    uris: list[str]
    width: int
    height: int
    across: int = ACROSS


def reduced(image: np.ndarray, *, side_px: int = SIDE_PX) -> np.ndarray:
    """Return the image (ch, h, w) uint8 with its longer side cut down to `side_px`."""
    if max(image.shape[1:]) <= side_px:
        return image
    picture = picture_of(image)
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    small = np.asarray(picture)
    return small[None] if small.ndim == 2 else small.transpose(2, 0, 1)


# The pixels (ch, h, w) uint8 of a small image, or the JPEG of a photo.
Shown = np.ndarray | bytes


def shown(picture: Picture) -> Shown:
    """Return the picture for the page: the JPEG of a photo, or the pixels of a small image."""
    return picture.thumbnail or reduced(picture.pixels)


class KeptImages:
    """Small pictures and features of images, kept during scoring.

    The images of the page are selected after scoring. To avoid decoding and embedding files twice,
    images are kept up to KEPT_BYTES; later images are decoded again if they are selected.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._entries: dict[str, tuple[Shown | None, np.ndarray]] = {}

    def observe(self, pictures: Mapping[str, Picture], scores: Scores) -> None:
        """Keep a batch: the pictures and scores of m files."""
        for (file, picture), features in zip(pictures.items(), scores.features, strict=True):
            if self._bytes >= KEPT_BYTES:
                return
            # A photo without a thumbnail is decoded again if it is selected.
            image = shown(picture) if picture.thumbnail or not picture.is_photo else None
            self._entries[file] = image, features
            self._bytes += len(image or b"") if not isinstance(image, np.ndarray) else image.nbytes
            self._bytes += features.nbytes

    def take(self, file: str) -> tuple[Shown | None, np.ndarray | None]:
        """Return the picture and the features (d,) of a file; None for what is not kept."""
        return self._entries.get(file, (None, None))


def photo_uri(content: bytes) -> str:
    """Return a JPEG as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")


def sheets(pictures: Sequence[np.ndarray]) -> Sheets:
    """Arrange pictures, each (ch, h, w) uint8 with 1 or 3 channels, on sheets.

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
    return data_uri(picture_of(sheet), "webp", **(LOSSLESS if exact else LOSSY))
