"""Store pictures of the training images in a model, to show them beside new images.

Small images are stored unchanged: `thumbnails` (m, ch, h, w) uint8. Photos are stored as
concatenated JPEGs: `photos` (b,) uint8, with the end of each photo in `photo_ends` (m,) int64.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import pairwise

import numpy as np
from PIL import Image

from belong.data.image_form import ImageForm
from belong.data.thumbnail import SMALL_PX, side_for, thumbnail

MOST_SIDE_PX = 2048  # maximum side of a photo
BUDGET = 24_000_000  # bytes of all photos: 1,000 photos of 320 pixels, or 5,000 of 128


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
    """Refuse invalid arrays, which `unpacked` and the pages could not show.

    Raises:
        ValueError: an array is invalid; the message names it.
    """
    labels, features = training["labels"], training["features"]
    if labels.dtype != np.int64 or labels.ndim != 1 or features.ndim != 2:
        raise ValueError("training labels: expected an int64 for each image")
    if "thumbnails" in training:
        shape = (len(labels), form.channels, form.height, form.width)
        if training["thumbnails"].dtype != np.uint8 or training["thumbnails"].shape != shape:
            raise ValueError(f"training thumbnails: expected uint8 of shape {shape}")
        return
    photos, ends = training["photos"], training["photo_ends"]
    starts = np.append(0, ends[:-1])
    if photos.dtype != np.uint8 or ends.dtype != np.int64 or not (
        photos.ndim == ends.ndim == 1 and (starts < ends).all() and ends[-1] == len(photos)
    ):  # fmt: skip
        raise ValueError("training photos: expected contiguous JPEGs with rising ends")
    for photo in unpacked(training):
        with Image.open(BytesIO(bytes(photo)), formats=["JPEG"]) as image:
            if max(image.size) > MOST_SIDE_PX:
                raise ValueError(
                    f"training photos: expected sides of at most {MOST_SIDE_PX} px, got "
                    f"{max(image.size)}"
                )


def _image_of(pixels: np.ndarray) -> Image.Image:
    channels_last = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(channels_last))
