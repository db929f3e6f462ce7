"""Convert the colors of an image to sRGB by its ICC profile: Display P3, Adobe RGB, gray, CMYK.

The rendering intent is relative colorimetric, with black point compensation (ICC.1:2022). An sRGB
profile of any name changes no pixel, and neither does an unusable profile.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

SRGB = ImageCms.createProfile("sRGB")
# A profile counts as sRGB if it changes no color by more than this, of 255: sRGB profiles differ by
# up to 1.
SAME = 2
LEVELS = np.linspace(0, 255, 9).round().astype(np.uint8)  # compared values of each channel
# Mode of the image -> required color space of its profile.
SPACES = {"RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK", "L": "GRAY", "LA": "GRAY"}
# A gray image is converted by a table of 256 grays, as Pillow cannot apply an RGB profile to it.
GREY = ("L", "LA")
UNUSED = ("1", "F", "LAB", "HSV")  # modes without profile conversion

Transform = ImageCms.ImageCmsTransform


class BrokenProfileError(Exception):
    """The reason why a profile cannot be used, in plain words."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image to sRGB; return the same object if its profile changes nothing.

    Args:
        image: decoded, of any mode with 8 bits per channel.
        profile: ICC profile; None or empty if its bytes are lost.

    Raises:
        BrokenProfileError: the profile is damaged, or has another color space than the image.
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
    icc_profile = _open(profile, (SPACES[mode],))
    target = "RGBA" if mode == "RGBA" else "RGB"
    transform = _build(icc_profile, mode, target)
    if mode == "CMYK":
        return transform
    corners = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS, indexing="ij"), axis=-1)
    colors = corners.reshape(1, -1, 3)
    converted = np.asarray(_build(icc_profile, "RGB", "RGB").apply(Image.fromarray(colors)))
    difference = np.abs(converted.astype(int) - colors).max()
    return transform if difference > SAME else None


@lru_cache(maxsize=32)
def _grey_table(profile: bytes) -> list[int] | None:
    """Return the sRGB gray for each of 256 grays, or None if none changes.

    A gray image may have an RGB profile; its grays are then the colors with three equal channels.
    """
    icc_profile = _open(profile, ("GRAY", "RGB"))
    ramp = np.arange(256, dtype=np.uint8)[None]
    if _space(icc_profile) == "GRAY":
        converted = _build(icc_profile, "L", "RGB").apply(Image.fromarray(ramp))
    else:
        converted = _build(icc_profile, "RGB", "RGB").apply(Image.fromarray(ramp).convert("RGB"))
    table = np.asarray(converted)[0, :, 1].astype(int)
    if np.abs(table - ramp).max() <= SAME:
        return None
    return [int(value) for value in table]


def _open(profile: bytes, spaces: tuple[str, ...]) -> ImageCms.ImageCmsProfile:
    try:
        icc_profile = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, ImageCms.PyCMSError):
        raise BrokenProfileError("it is damaged") from None
    if _space(icc_profile) not in spaces:
        raise BrokenProfileError(
            f"it is of {_space(icc_profile)}, the image of {' or '.join(spaces)}"
        )
    return icc_profile


def _space(profile: ImageCms.ImageCmsProfile) -> str:
    return profile.profile.xcolor_space.strip()


def _build(profile: ImageCms.ImageCmsProfile, mode: str, target: str) -> Transform:
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
