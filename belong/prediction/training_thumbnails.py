"""The pictures of the training images that a model keeps, to show them beside new images.

Small images are kept as they are: `thumbnails` (m, ch, h, w) uint8. Photos are kept as JPEG, one
behind the other: `photos` (b,) uint8, of which the first ends before byte `photo_ends[0]`, and so
on: `photo_ends` (m,) int64.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

from belong.data.thumbnail import SMALL_PX, side_for, thumbnail

BUDGET = 24_000_000  # bytes: 1,000 photos have 320 pixels then, 5,000 have 128


def packed(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays for images (m, ch, h, w) uint8."""
    if max(images.shape[2:]) <= SMALL_PX:
        return {"thumbnails": images}
    side_px = side_for(len(images), budget=BUDGET)
    photos = [thumbnail(_image_of(one), side_px=side_px) for one in images]
    ends = np.cumsum([len(photo) for photo in photos], dtype=np.int64)
    return {"photos": np.frombuffer(b"".join(photos), np.uint8), "photo_ends": ends}


def unpacked(training: Mapping[str, np.ndarray]) -> Sequence[np.ndarray | bytes]:
    """Return m pictures: pixels (ch, h, w) uint8, or a JPEG."""
    if "thumbnails" in training:
        return list(training["thumbnails"])
    content = training["photos"].tobytes()
    return [content[start:end] for start, end in pairwise([0, *training["photo_ends"].tolist()])]


def _image_of(pixels: np.ndarray) -> Image.Image:
    channels_last = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(channels_last))
