"""Measure the size, color, sharpness and fingerprint of an image.

A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its shorter side keeps 256 pixels.
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

# Images are compared as gray squares of this side.
THUMBNAIL_PX = 16
# Sharpness and exposure are measured at this length of the shorter side, or at the original size of
# a smaller image. Images below the second number are skipped: they are icons or digits, not photos.
SCALE_PX = 256
LEAST_SCALE_PX = 64
NEEDED_PX = SCALE_PX // 2  # a JPEG is decoded to at least twice this size
# Of 255: a well exposed photo has no whiter pixel.
WHITE = 250
# Maximum difference of two pixels, of 255, in an image of one color: JPEG leaves artifacts.
BLANK_RANGE = 4


@dataclass(frozen=True)
class ImageProperties:
    """Measurements of one image.

    Attributes:
        shorter_px: the shorter side of the full image.
        longer_px: the longer side of the full image.
        kind: format of the content, as Pillow names it; "" for an image in an array.
        is_animated: the file has several frames; the first one was measured.
        is_grey: all channels are equal.
        is_blank: the image has one color.
        sharpness: variance of the Laplacian, divided by that of the image averaged over 3 x 3
            pixels; independent of brightness and contrast. NaN for a small or blank image.
        dark_95: 95th percentile of the brightness, 0..255; NaN for a small image.
        dark_5: 5th percentile of the brightness.
        white_share: share of pixels of at least WHITE.
        profile_error: the reason why the color profile cannot be used, or "".
        digest: SHA-256 of size, mode and decoded pixels, equal for copies with other names.
        thumbnail: (16, 16) uint8, gray.
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


def at_file(path: Path, *, max_pixels: int, background: Rgb) -> ImageProperties:
    """Measure an image file; options and errors are those of `read_file`."""
    decode = partial(read_file, path, max_pixels=max_pixels, background=background)
    content = decode(needed_px=NEEDED_PX)
    is_seen_whole = True
    if _is_blank(content.image) and content.image.size != content.size:
        # A fine line is lost at an eighth of the size, so an apparently blank image is read again.
        try:
            content = decode(needed_px=max(content.size))
        except UnreadableError:  # too many pixels at full size: it does not count as blank
            is_seen_whole = False
    return _properties(
        content.image,
        content.size,
        is_seen_whole=is_seen_whole,
        kind=content.kind,
        is_animated=content.frames > 1,
        profile_error=content.profile_error,
    )


def properties_or_reason(path: Path, *, max_pixels: int, background: Rgb) -> ImageProperties | str:
    """Measure an image file, or return the reason why it cannot be read."""
    try:
        return at_file(path, max_pixels=max_pixels, background=background)
    except UnreadableError as error:
        return str(error)


def at_array(pixels: np.ndarray) -> ImageProperties:
    """Measure an image (ch, h, w) uint8 of 1 or 3 channels."""
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    return _properties(image, image.size, kind="", is_animated=False)


def _properties(
    image: Image.Image,
    size: tuple[int, int],
    *,
    kind: str,
    is_animated: bool,
    is_seen_whole: bool = True,
    profile_error: str = "",
) -> ImageProperties:
    content = hashlib.sha256(f"{size} {image.mode} ".encode() + image.tobytes())
    # `reducing_gap`: first averages whole blocks of pixels, then applies the better filter.
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
    return ImageProperties(
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
    extrema: Any = image.getextrema()  # one pair, or a pair per channel
    return bool((np.ptp(np.atleast_2d(extrema), axis=1) <= BLANK_RANGE).all())


def _at_scale(image: Image.Image) -> Image.Image:
    factor = SCALE_PX / min(image.size)
    if factor >= 1:
        return image
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2)


def _sharpness(grey: Image.Image) -> float:
    """Return the factor by which averaging over 3 x 3 pixels lowers the variance of the Laplacian.

    A sharp photo loses most of the variance, a blurred photo little, as it has no details of that
    size. (The variance of the Laplacian is the measure of Pech-Pacheco et al., Diatom autofocusing
    in brightfield microscopy, ICPR 2000; the comparison with a blurred copy is the idea of Crete et
    al., The blur effect, SPIE 2007.)
    """
    averaged = grey.filter(ImageFilter.BoxBlur(1))
    before, after = (_laplacian_variance(np.asarray(one, np.float32)) for one in (grey, averaged))
    return before / after if after else np.nan


def _laplacian_variance(pixels: np.ndarray) -> float:
    """Return the variance of the Laplacian, four neighbors less four times the pixel, of (h, w)."""
    inner = pixels[1:-1, 1:-1]
    sides = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
    return float((sides - 4 * inner).var())
