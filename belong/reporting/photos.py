"""Pictures of images for a page: read from their files, whole, and not from a network's pixels."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from belong.data.decode_pool import each_file
from belong.data.image_reader import Rgb, read_image
from belong.data.thumbnail import SMALL_PX, side_for, thumbnail
from belong.data.unreadable import UnreadableError
from belong.reporting.gallery.sprite_sheets import photo_uri
from belong.reporting.report.thumbnails import data_uri, picture_of

DATA = "data:"  # how a data URI begins
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
    side_px = side_for(len(sources), budget=BUDGET)
    files = {name: one for name, one in sources.items() if isinstance(one, Path)}
    uri = partial(_file_uri, side_px=side_px, max_pixels=max_pixels, background=background)
    uris = dict(
        zip(files, each_file(uri, list(files.values()), "pictures", jobs=jobs), strict=True)
    )
    for name, source in sources.items():
        if isinstance(source, np.ndarray):
            uris[name] = _uri(picture_of(source), side_px)
    return {name: uris[name] for name in sources if uris[name].startswith(DATA)}


def _file_uri(path: Path, *, side_px: int, max_pixels: int, background: Rgb) -> str:
    """Return the data URI of a file, or why there is none."""
    try:
        image = read_image(path, needed_px=side_px, max_pixels=max_pixels, background=background)
    except UnreadableError as error:
        return str(error)
    return _uri(image, side_px)


def _uri(image: Image.Image, side_px: int) -> str:
    if max(image.size) <= SMALL_PX:
        return data_uri(image, "png", optimize=True)
    return photo_uri(thumbnail(image, side_px=side_px))
