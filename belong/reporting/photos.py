"""Pictures of images for a page: read from their files, whole, and not from a network's pixels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from belong.data.decode_pool import each_image
from belong.data.image_reader import Rgb, read_image
from belong.data.thumbnail import SMALL_PX, side_for, thumbnail
from belong.data.unreadable import UnreadableError
from belong.reporting.gallery.sprite_sheets import photo_uri
from belong.reporting.report.thumbnails import data_uri, picture_of

BUDGET = 9_000_000  # bytes of all photos of a page: 750 have 256 pixels then, 3,000 have 96


def photo_uris(
    sources: Mapping[str, Path | np.ndarray],
    *,
    max_pixels: int,
    background: Rgb,
    jobs: int | None = None,
) -> dict[str, str]:
    """Return a data URI for each image: a JPEG of a photo, a PNG of each pixel of a small image.

    Args:
        sources: name -> file, or (ch, h, w) uint8. A file that cannot be read is left out.
        max_pixels: see `read_image`.
        background: see `read_image`.
        jobs: threads; all processors if None.
    """
    names, side_px = list(sources), side_for(len(sources), budget=BUDGET)

    def uri(place: int) -> str:
        source = sources[names[place]]
        if isinstance(source, np.ndarray):
            return _uri(picture_of(source), side_px)
        try:
            image = read_image(
                source, needed_px=side_px, max_pixels=max_pixels, background=background
            )
        except UnreadableError:
            return ""
        return _uri(image, side_px)

    made = zip(names, each_image(uri, len(names), "pictures", jobs=jobs), strict=True)
    return {name: one for name, one in made if one}


def _uri(image: Image.Image, side_px: int) -> str:
    if max(image.size) <= SMALL_PX:
        return data_uri(image, "png", optimize=True)
    return photo_uri(thumbnail(image, side_px=side_px))
