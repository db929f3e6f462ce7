"""Convert the colors of an image to sRGB by its ICC profile: Display P3, Adobe RGB, grey, CMYK.

Relative colorimetric, with black point compensation (ICC.1:2022). A profile that describes sRGB, by
whatever name, leaves each pixel as it is. A profile that cannot be used leaves them so, too.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

SRGB = ImageCms.createProfile("sRGB")
# A profile is sRGB if it moves no color by more than this, of 255: sRGB's own profiles differ by 1.
SAME = 2
LEVELS = np.linspace(0, 255, 9).round().astype(np.uint8)  # of each channel, to compare by
# Mode of the image -> required color space of its profile.
SPACES = {"RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK", "L": "GRAY", "LA": "GRAY"}
# A grey image takes a table of 256 greys: Pillow applies no profile of RGB to one.
GREY = ("L", "LA")
UNUSED = ("1", "F", "LAB", "HSV")  # modes without profile conversion

Transform = ImageCms.ImageCmsTransform


class BrokenProfileError(Exception):
    """Why a profile cannot be used, in plain words."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image to sRGB; return the same object if its profile changes nothing.

    Args:
        image: decoded, 8 bits for each channel, of any mode.
        profile: ICC; None or empty if its bytes were lost.

    Raises:
        BrokenProfileError: it is damaged, or of another color space than the image.
    """
    if not profile:
        raise BrokenProfileError("it is damaged")
    if image.mode in UNUSED:
        return image
    mode = _mode_of(image)
    if mode in GREY:
        table = _grey_table(profile)
        if table is None:
            return image
        alpha = list(range(256)) if mode == "LA" else []
        return _plain_mode(image, mode).point([*table, *alpha])
    transform = _transform(profile, mode)
    if transform is None:
        return image
    return transform.apply(_plain_mode(image, mode))


def _mode_of(image: Image.Image) -> str:
    """Return the mode in which a profile is applied: RGB for palettes and YCbCr."""
    if image.mode in (*GREY, "CMYK"):
        return "LA" if image.mode == "L" and image.has_transparency_data else image.mode
    return "RGBA" if image.has_transparency_data else "RGB"


def _plain_mode(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


@lru_cache(maxsize=32)  # the photos of a camera share one
def _transform(profile: bytes, mode: str) -> Transform | None:
    """Return the transform from a mode to sRGB, or None if none is needed."""
    opened = _opened(profile, (SPACES[mode],))
    target = "RGBA" if mode == "RGBA" else "RGB"
    transform = _built(opened, mode, target)
    if mode == "CMYK":
        return transform
    corners = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS, indexing="ij"), axis=-1)
    colors = corners.reshape(1, -1, 3)
    seen = np.asarray(_built(opened, "RGB", "RGB").apply(Image.fromarray(colors)))
    moved = np.abs(seen.astype(int) - colors).max()
    return transform if moved > SAME else None


@lru_cache(maxsize=32)
def _grey_table(profile: bytes) -> list[int] | None:
    """Return the sRGB grey for each of 256 greys, or None if none changes.

    A grey image may carry a profile of RGB: its greys are those with three equal channels.
    """
    opened = _opened(profile, ("GRAY", "RGB"))
    ramp = np.arange(256, dtype=np.uint8)[None]
    if _space(opened) == "GRAY":
        seen = _built(opened, "L", "RGB").apply(Image.fromarray(ramp))
    else:
        seen = _built(opened, "RGB", "RGB").apply(Image.fromarray(ramp).convert("RGB"))
    table = np.asarray(seen)[0, :, 1].astype(int)
    if np.abs(table - ramp).max() <= SAME:
        return None
    return [int(value) for value in table]


def _opened(profile: bytes, spaces: tuple[str, ...]) -> ImageCms.ImageCmsProfile:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, ImageCms.PyCMSError):
        raise BrokenProfileError("it is damaged") from None
    if _space(opened) not in spaces:
        raise BrokenProfileError(f"it is of {_space(opened)}, the image of {' or '.join(spaces)}")
    return opened


def _space(profile: ImageCms.ImageCmsProfile) -> str:
    return profile.profile.xcolor_space.strip()


def _built(profile: ImageCms.ImageCmsProfile, mode: str, target: str) -> Transform:
    try:
        return ImageCms.buildTransform(
            profile,
            SRGB,
            mode,
            target,
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImageCms.PyCMSError:
        raise BrokenProfileError("it is damaged") from None
