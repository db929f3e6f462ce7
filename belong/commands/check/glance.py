"""What one look at an image tells: its size, its color, its sharpness, what it is known again by.

A JPEG is decoded at 1/2, 1/4 or 1/8 of its size, where 256 pixels of the shorter side are left.
"""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from belong.data.image_reader import Rgb, read_file
from belong.data.unreadable import UnreadableError

# Images are compared as grey squares of this side.
THUMBNAIL_PX = 16
# Photos are judged at this length of the shorter side; smaller images as they are, and those below
# the second not at all: of a digit of 28 pixels nobody says that it is blurred or too dark.
SCALE_PX = 256
LEAST_SCALE_PX = 64
NEEDED_PX = SCALE_PX // 2  # of which a JPEG is decoded no smaller than twice
# Of 255: no pixel of film or sensor is whiter in an image that is exposed well.
WHITE = 250
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
        sharpness: the variance of its Laplacian, in that of the same image averaged over 3 x 3
            pixels; of brightness and contrast independent. NaN if the image is small or blank.
        dark_95: 95 % of its pixels are no brighter, 0..255; NaN if it is small.
        dark_5: 5 % of them are no brighter.
        white_share: of its pixels, those of at least WHITE.
        profile_error: why its color profile cannot be used, or "".
        digest: SHA-256 of size, mode and decoded pixels: equal for copies, whatever their names.
        thumbnail: (16, 16) uint8, grey.
    """

    shorter_px: int
    longer_px: int
    kind: str
    is_animated: bool
    is_grey: bool
    is_blank: bool
    sharpness: float
    dark_95: float
    dark_5: float
    white_share: float
    profile_error: str
    digest: bytes
    thumbnail: np.ndarray


def at_file(path: Path, *, max_pixels: int, background: Rgb) -> Glance:
    """Look at a file; the options and errors are those of `read_file`."""
    read = partial(read_file, path, max_pixels=max_pixels, background=background)
    content = read(needed_px=NEEDED_PX)
    is_seen_whole = True
    if _is_blank(content.image) and content.image.size != content.size:
        # A fine line is lost at an eighth of the size; these few are worth a second look.
        try:
            content = read(needed_px=max(content.size))
        except UnreadableError:  # whole, it has too many pixels: nothing is said of its color
            is_seen_whole = False
    return _glance(
        content.image,
        content.size,
        is_seen_whole=is_seen_whole,
        kind=content.kind,
        is_animated=content.frames > 1,
        profile_error=content.profile_error,
    )


def glance_or_reason(path: Path, *, max_pixels: int, background: Rgb) -> Glance | str:
    """Return what `at_file` returns, or the reason why it cannot."""
    try:
        return at_file(path, max_pixels=max_pixels, background=background)
    except UnreadableError as error:
        return str(error)


def at_array(pixels: np.ndarray) -> Glance:
    """Look at an image (ch, h, w) uint8, of 1 or 3 channels."""
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    return _glance(image, image.size, kind="", is_animated=False)


def _glance(
    image: Image.Image,
    size: tuple[int, int],
    *,
    kind: str,
    is_animated: bool,
    is_seen_whole: bool = True,
    profile_error: str = "",
) -> Glance:
    content = hashlib.sha256(f"{size} {image.mode} ".encode() + image.tobytes())
    # Averages over whole pixels first, and then the better filter.
    side = (THUMBNAIL_PX, THUMBNAIL_PX)
    small = image.resize(side, Image.Resampling.BILINEAR, reducing_gap=2)
    channels = np.atleast_3d(np.asarray(small))
    is_blank = is_seen_whole and _is_blank(image)
    sharpness = dark_5 = dark_95 = white_share = np.nan
    if kind and min(image.size) >= LEAST_SCALE_PX:
        grey = _at_scale(image.convert("L"))
        pixels = np.asarray(grey)
        dark_5, dark_95 = np.percentile(pixels, (5, 95))
        white_share = float((pixels >= WHITE).mean())
        sharpness = np.nan if is_blank else _sharpness(grey)
    return Glance(
        shorter_px=min(size),
        longer_px=max(size),
        kind=kind,
        is_animated=is_animated,
        is_grey=bool((channels == channels[..., :1]).all()),
        is_blank=is_blank,
        sharpness=sharpness,
        dark_95=float(dark_95),
        dark_5=float(dark_5),
        white_share=white_share,
        profile_error=profile_error,
        digest=content.digest(),
        thumbnail=np.asarray(small.convert("L")),
    )


def _is_blank(image: Image.Image) -> bool:
    extrema: Any = image.getextrema()  # a pair, or one for each channel
    return bool((np.ptp(np.atleast_2d(extrema), axis=1) <= BLANK_RANGE).all())


def _at_scale(image: Image.Image) -> Image.Image:
    factor = SCALE_PX / min(image.size)
    if factor >= 1:
        return image
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2)


def _sharpness(grey: Image.Image) -> float:
    """Return by how much an average over 3 x 3 pixels lowers the variance of the Laplacian.

    A sharp photo loses most of it, a blurred one little: it has no details of that size. (The
    measure is that of Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR
    2000; to compare it with that of a blurred copy is the idea of Crete et al., The blur effect,
    SPIE 2007.)
    """
    averaged = grey.filter(ImageFilter.BoxBlur(1))
    own, lowered = (_laplacian_variance(np.asarray(one, np.float32)) for one in (grey, averaged))
    return own / lowered if lowered else np.nan


def _laplacian_variance(pixels: np.ndarray) -> float:
    """Return the variance of the Laplacian, four neighbors less four times the pixel, of (h, w)."""
    inner = pixels[1:-1, 1:-1]
    sides = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
    return float((sides - 4 * inner).var())
