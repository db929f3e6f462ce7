"""The pictures of the training images that a model keeps, to show them beside new images.

Small images are kept as they are: `thumbnails` (m, ch, h, w) uint8. Photos are kept as JPEG, one
behind the other: `photos` (b,) uint8, of which the first ends before byte `photo_ends[0]`, and so
on: `photo_ends` (m,) int64.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import pairwise

import numpy as np
from PIL import Image

from belong.data.image_form import ImageForm
from belong.data.thumbnail import SMALL_PX, side_for, thumbnail

MOST_SIDE_PX = 2048  # of a photo
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


def check_training(training: Mapping[str, np.ndarray], form: ImageForm) -> None:
    """Refuse arrays of a stranger's that `unpacked` and pages would stumble over.

    Raises:
        ValueError: says which.
    """
    labels, features = training["labels"], training["features"]
    if labels.dtype != np.int64 or labels.ndim != 1 or features.ndim != 2:
        raise ValueError("the labels of its training images are no whole numbers, one for each")
    if "thumbnails" in training:
        shape = (len(labels), form.channels, form.height, form.width)
        if training["thumbnails"].dtype != np.uint8 or training["thumbnails"].shape != shape:
            raise ValueError(f"the pictures of its training images are not uint8 of shape {shape}")
        return
    photos, ends = training["photos"], training["photo_ends"]
    starts = np.append(0, ends[:-1])
    if photos.dtype != np.uint8 or ends.dtype != np.int64 or not (
        photos.ndim == ends.ndim == 1 and (starts < ends).all() and ends[-1] == len(photos)
    ):  # fmt: skip
        raise ValueError("the photos of its training images do not lie one behind the other")
    for photo in unpacked(training):
        with Image.open(BytesIO(bytes(photo)), formats=["JPEG"]) as image:
            if max(image.size) > MOST_SIDE_PX:
                raise ValueError(f"a photo of its training images has {max(image.size)} pixels")


def _image_of(pixels: np.ndarray) -> Image.Image:
    channels_last = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(channels_last))
