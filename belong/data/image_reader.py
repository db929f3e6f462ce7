"""Decode one image file to 8-bit grey or RGB: upright, opaque and whole, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# Of what Pillow knows. Not EPS, which it has Ghostscript run; not JPEG 2000, of which it takes
# half a file for a whole one.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
EXTENSIONS = {
    ".apng", ".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png",
    ".pnm", ".ppm", ".tif", ".tiff", ".webp",
}  # fmt: skip
# Photos too, so that they are not passed over: each is listed as unreadable.
NOT_READ = {
    ".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".j2k", ".jp2", ".jxl", ".nef", ".orf",
    ".raf", ".rw2",
}  # fmt: skip
# To count their frames takes a walk through the file, which ends the image that is at hand.
COUNTED_BY_A_WALK = ("GIF", "TIFF")
NAMED = EXTENSIONS | NOT_READ

Rgb = tuple[int, int, int]


class UnreadableError(Exception):
    """Why a file gives no image, in plain words."""


def is_image_name(name: str) -> bool:
    """Return whether a file of this name ought to be an image."""
    return Path(name).suffix.lower() in NAMED


@dataclass(frozen=True)
class ImageContent:
    """The content of an image file.

    Attributes:
        image: of mode L or RGB: the first frame. Colour profiles are not applied.
        size: width and height of the file, before a JPEG is decoded smaller.
        kind: the format that the content has, as Pillow calls it.
        frames: how many there are.
    """

    image: Image.Image
    size: tuple[int, int]
    kind: str
    frames: int


def read_image(path: Path, *, needed_px: int, max_pixels: int, background: Rgb) -> Image.Image:
    """Return the image alone of what `read_file` returns."""
    content = read_file(path, needed_px=needed_px, max_pixels=max_pixels, background=background)
    return content.image


def read_file(path: Path, *, needed_px: int, max_pixels: int, background: Rgb) -> ImageContent:
    """Decode the file, or the first frame of it.

    Args:
        path: the file; its content says what it is, not its name.
        needed_px: a JPEG may be decoded smaller, down to twice this for its shorter side.
        max_pixels: a larger image is refused by its header, before it is decoded.
        background: lies below the transparent parts.

    Raises:
        UnreadableError: not an image, damaged, cut off, too large, or of a kind that is not read.
    """
    if path.suffix.lower() in NOT_READ:
        raise UnreadableError(f"{path.suffix.lower()} is not read; save it as JPEG or PNG")
    with _plain_reasons(max_pixels):
        if not path.is_file():
            raise UnreadableError(_no_file(path))
        if path.stat().st_size == 0:
            raise UnreadableError("empty: 0 bytes")
        with Image.open(path, formats=FORMATS) as image:
            size = image.size
            _check_size(image, max_pixels)
            # A JPEG comes at 1/2, 1/4 or 1/8 of its size for a fraction of the work. Twice the
            # size that is needed leaves the last step to the better filter, as in Pillow's own
            # `thumbnail`.
            image.draft(None, (2 * needed_px, 2 * needed_px))
            return ImageContent(
                _plain(image, background), size, image.format or "", _frames(image, path)
            )


def plain_image(image: Image.Image, *, max_pixels: int, background: Rgb) -> Image.Image:
    """Return an image in memory as `read_image` returns that of a file.

    Raises:
        UnreadableError: damaged, cut off, too large, or of a kind that is not read.
    """
    with _plain_reasons(max_pixels):
        _check_size(image, max_pixels)
        return _plain(image, background)


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if not width * height:
        raise UnreadableError("empty: 0 pixels")
    if width * height > max_pixels:
        raise UnreadableError(
            f"{width} x {height} is {width * height / 1e6:.1f} megapixels; "
            f"{max_pixels / 1e6:g} are allowed"
        )


def _plain(image: Image.Image, background: Rgb) -> Image.Image:
    image.load()
    return _opaque(_eight_bits(_upright(image)), background)


@contextmanager
def _plain_reasons(max_pixels: int) -> Iterator[None]:
    try:
        yield
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError("not an image, or of no kind that is read") from None
    except Image.DecompressionBombError:
        raise UnreadableError(f"too large; {max_pixels / 1e6:g} megapixels are allowed") from None
    except Exception as error:  # a damaged file makes a decoder raise anything
        raise UnreadableError(_plainly(error)) from None


def _frames(image: Image.Image, path: Path) -> int:
    try:
        if image.format in COUNTED_BY_A_WALK:
            with Image.open(path, formats=FORMATS) as another:
                return frames_of(another)
    except Exception:  # a damaged file makes a decoder raise anything
        return 1
    return frames_of(image)


def frames_of(image: Image.Image) -> int:
    """Count the frames; what lies behind the first one may be damaged, and counts as none."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # a damaged file makes a decoder raise anything
        return 1


def _no_file(path: Path) -> str:
    if path.exists():
        return "not a regular file"
    return "a link to nothing" if path.is_symlink() else "no such file"


def _plainly(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if "truncated" in text:
        return f"cut off: {text}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"damaged: {text}"


def _upright(image: Image.Image) -> Image.Image:
    """Turn it as the camera says that it was held (EXIF)."""
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image  # as most are; Pillow would copy it
        return ImageOps.exif_transpose(image)
    except Exception:  # the camera's notes are damaged in any way; the picture is whole
        return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey, 0..65535, to 0..255; Pillow's own conversion clips at 255."""
    if image.mode == "F":
        raise UnreadableError("grey with fractions, whose white is not known; save it as PNG")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UnreadableError(f"grey from {values.min()} to {values.max()}; wanted 0 to 65535")
    scaled = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if "transparency" in image.info:
        clear = values == image.info["transparency"]
        scaled.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
    return scaled


def _opaque(image: Image.Image, background: Rgb) -> Image.Image:
    """Lay it over the background; what is not grey becomes RGB (CMYK, palettes, YCbCr)."""
    if image.has_transparency_data:
        below = Image.new("RGBA", image.size, background)
        below.alpha_composite(image.convert("RGBA"))
        return below.convert("RGB")
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)
