"""Render images for a page from their original files, as data URIs."""

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

DATA = "data:"  # start of a data URI
BUDGET = 9_000_000  # bytes of all photos on a page: 750 photos of 256 pixels, or 3,000 of 96


def photo_uris(
    sources: Mapping[str, Path | np.ndarray],
    *,
    max_pixels: int,
    background: Rgb,
    jobs: int | None = None,
) -> dict[str, str]:
    """Return name -> data URI: a JPEG of a photo, a lossless PNG of a small image.

    Args:
        sources: name -> file, or (ch, h, w) uint8. Unreadable files are left out.
        max_pixels: see `read_image`.
        background: see `read_image`.
        jobs: decoding processes; None: one per processor.
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
    """Return the data URI of a file, or the reason why it cannot be read."""
    try:
        image = read_image(path, needed_px=side_px, max_pixels=max_pixels, background=background)
    except UnreadableError as error:
        return str(error)
    return _uri(image, side_px)


def _uri(image: Image.Image, side_px: int) -> str:
    if max(image.size) <= SMALL_PX:
        return data_uri(image, "png", optimize=True)
    return photo_uri(thumbnail(image, side_px=side_px))
