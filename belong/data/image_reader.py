"""Decode one image file to 8-bit grey or RGB: upright, opaque and whole, or not at all."""

import struct
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import jpeg_factory

from belong.data.color_profile import BrokenProfileError, to_srgb
from belong.runtime.text import counted

# Of what Pillow knows. Not EPS, which it has Ghostscript run; not JPEG 2000, of which it takes
# half a file for a whole one.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
EXTENSIONS = {
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".jfi", ".jfif", ".jif", ".jpe", ".jpeg", ".jpg",
    ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
}  # fmt: skip
# What phones and cameras call HEIC; read where pillow-heif is installed.
HEIF = {".heic", ".heics", ".heif", ".heifs", ".hif"}
# Photos too, so that they are not passed over: each is listed as unreadable, unless its content is
# of a kind that is read. A raw photo is a TIFF with a small picture in it, and not taken for one.
NOT_READ = {
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".j2k", ".jp2", ".jxl", ".nef", ".orf", ".pef",
    ".raf", ".rw2", ".rwl", ".srw", ".x3f",
}  # fmt: skip
NOT_RAW = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP")
# To count their frames takes a walk through the file, which ends the image that is at hand.
COUNTED_BY_A_WALK = ("GIF", "TIFF")
NAMED = EXTENSIONS | HEIF | NOT_READ
NO_KIND = "not an image, or of no kind that is read"
NO_HEIF = "a HEIC photo, which is read with an extra: pip install 'belong[heic]'"

JPEG = ("JPEG", "MPO")  # an MPO is a JPEG with a second picture behind it
# A JPEG is decoded row by row, at 1/8 of its size if no more is needed: it may have so many times
# the pixels of another image, which has to be decoded whole.
JPEG_FACTOR = 8
HEAD = 12  # bytes: a file's kind
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs",
               b"mif1", b"msf1"}  # fmt: skip
PNG_START = b"\x89PNG\r\n\x1a\n"
# Pillow refuses a PNG of which a text, or the color profile, is longer than 1 MiB.
TEXTS, PROFILE = {b"iTXt", b"tEXt", b"zTXt"}, b"iCCP"
# In the place of a profile that is too long: an empty one, which is said to be damaged.
EMPTY = PROFILE + b"-\0\0" + zlib.compress(b"")
NO_PROFILE = struct.pack(">I", len(EMPTY) - 4) + EMPTY + struct.pack(">I", zlib.crc32(EMPTY))

Rgb = tuple[int, int, int]


class UnreadableError(Exception):
    """Why a file gives no image, in plain words."""


def is_image_name(name: str) -> bool:
    """Return whether a file of this name ought to be an image."""
    return Path(name).suffix.lower() in NAMED


def heif_without_reader(paths: Iterable[Path]) -> str:
    """Return one line about HEIC photos that cannot be read here; "" if all can, or none is there.

    Files with a name of HEIC are opened, to see what they are; the others are not.
    """
    if find_spec("pillow_heif") is not None:
        return ""
    named = (path for path in paths if path.suffix.lower() in HEIF)
    count = sum(map(_is_heif_file, named))
    what = counted(count, "HEIC photo")
    return f"{what} cannot be read here; to read them: pip install 'belong[heic]'" if count else ""


def _is_heif_file(path: Path) -> bool:
    try:
        if not path.is_file():  # a pipe would keep us waiting
            return False
        with path.open("rb") as file:
            return _is_heif(file.read(HEAD))
    except OSError:
        return False


def _is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


@dataclass(frozen=True)
class ImageContent:
    """The content of an image file.

    Attributes:
        image: of mode L or RGB, in sRGB: the first frame.
        size: width and height of the file, before a JPEG is decoded smaller.
        kind: the format that the content has, as Pillow calls it.
        frames: how many there are.
        profile_error: why its color profile cannot be used, and the image is taken for sRGB; or "".
    """

    image: Image.Image
    size: tuple[int, int]
    kind: str
    frames: int
    profile_error: str = ""


def read_image(path: Path, *, needed_px: int, max_pixels: int, background: Rgb) -> Image.Image:
    """Return the image alone of what `read_file` returns."""
    content = read_file(path, needed_px=needed_px, max_pixels=max_pixels, background=background)
    return content.image


def read_file(path: Path, *, needed_px: int, max_pixels: int, background: Rgb) -> ImageContent:
    """Decode the file, or the first frame of it.

    Args:
        path: the file; its content says what it is, not its name.
        needed_px: a JPEG may be decoded smaller, down to twice this for its shorter side.
        max_pixels: a larger image is refused by its header, before it is decoded. Of a JPEG, the
            pixels that are decoded count, and it may have JPEG_FACTOR times as many.
        background: lies below the transparent parts.

    Raises:
        UnreadableError: not an image, damaged, cut off, too large, or of a kind that is not read.
    """
    with _plain_reasons(max_pixels):
        if not path.is_file():
            raise UnreadableError(_no_file(path))
        if path.stat().st_size == 0:
            raise UnreadableError("empty: 0 bytes")
        with path.open("rb") as file:
            for content in _readings(file):
                try:
                    with _opened(content, path.suffix.lower()) as image:
                        return _content(
                            image, path, needed_px=needed_px, max_pixels=max_pixels,
                            background=background,
                        )  # fmt: skip
                except ValueError as error:
                    reason = error
            raise reason


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height by the header of a file; nothing is decoded.

    Raises:
        UnreadableError: it has none that can be read.
    """
    with _plain_reasons(0):
        if not path.is_file():
            raise UnreadableError(_no_file(path))
        with path.open("rb") as file, _opened(file, path.suffix.lower()) as image:
            return image.size


def _readings(file: BinaryIO) -> Iterator[BinaryIO]:
    """Yield the file, and a PNG that could not be read so without its texts, and its profile."""
    yield file
    file.seek(0)
    if file.read(len(PNG_START)) == PNG_START:
        yield _without(TEXTS, file)
        yield _without(TEXTS | {PROFILE}, file)


def _content(
    image: Image.Image, path: Path, *, needed_px: int, max_pixels: int, background: Rgb
) -> ImageContent:
    """Decode an image that was opened; see `read_file`."""
    size = image.size
    if image.format in JPEG:
        # It comes at 1/2, 1/4 or 1/8 of its size for a fraction of the work. Twice the size that is
        # needed leaves the last step to the better filter, as in Pillow's own `thumbnail`.
        image.draft(None, (2 * needed_px, 2 * needed_px))
    _check_size(image, size, max_pixels)
    plain, profile_error = _plain(image, background)
    frames = _frames(image, path)
    return ImageContent(plain, size, image.format or "", frames, profile_error)


def _opened(file: BinaryIO, suffix: str) -> Image.Image:
    """Open an image by its content; nothing of it is decoded."""
    head = file.read(HEAD)
    file.seek(0)
    try:
        return Image.open(file, formats=NOT_RAW if suffix in NOT_READ else FORMATS)
    except UnidentifiedImageError:  # a brand of HEIC may be one of AVIF, too, which is tried first
        if _is_heif(head):
            return _opened_heif(file)
        if suffix in NOT_READ:
            raise UnreadableError(f"{suffix} is not read; save it as JPEG or PNG") from None
        raise
    except Image.DecompressionBombError:
        if not head.startswith(b"\xff\xd8\xff"):
            raise
        file.seek(0)
        return jpeg_factory(file)  # of which fewer pixels are decoded, and these are counted


def _opened_heif(file: BinaryIO) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise UnreadableError(NO_HEIF) from None
    file.seek(0)
    image: Image.Image = HeifImageFile(file)  # upright already, as its boxes say; EXIF is reset
    return image


def _without(chunks: Collection[bytes], file: BinaryIO) -> BytesIO:
    """Return a PNG without some of its chunks."""
    file.seek(len(PNG_START))
    kept = BytesIO()
    kept.write(PNG_START)
    while len(start := file.read(8)) == 8:
        (length,) = struct.unpack(">I", start[:4])
        body = file.read(length + 4)  # and its check sum
        if start[4:] not in chunks:
            kept.write(start + body)
        elif start[4:] == PROFILE:
            kept.write(NO_PROFILE)
    kept.seek(0)
    return kept


def plain_image(image: Image.Image, *, max_pixels: int, background: Rgb) -> Image.Image:
    """Return an image in memory as `read_image` returns that of a file.

    Raises:
        UnreadableError: damaged, cut off, too large, or of a kind that is not read.
    """
    with _plain_reasons(max_pixels):
        _check_size(image, image.size, max_pixels)
        return _plain(image, background)[0]


def _check_size(image: Image.Image, size: tuple[int, int], max_pixels: int) -> None:
    """Refuse an image of `size`, that is decoded at its own, for its memory, or a JPEG's time."""
    # A progressive JPEG is held whole before any of it is decoded.
    is_by_rows = image.format in JPEG and "progressive" not in image.info
    for (width, height), allowed in (
        (size, JPEG_FACTOR * max_pixels if is_by_rows else max_pixels),
        (image.size, max_pixels),
    ):
        if not width * height:
            raise UnreadableError("empty: 0 pixels")
        if width * height > allowed:
            raise UnreadableError(
                f"{width} x {height} is {width * height / 1e6:.1f} megapixels; "
                f"{allowed / 1e6:g} are allowed"
            )


def _plain(image: Image.Image, background: Rgb) -> tuple[Image.Image, str]:
    """Return the image in mode L or RGB, and why its color profile could not be used, or ""."""
    image.load()
    has_profile, profile = "icc_profile" in image.info, image.info.get("icc_profile")
    upright, error = _upright(_eight_bits(image)), ""
    if has_profile:
        try:
            upright = to_srgb(upright, profile)
        except BrokenProfileError as reason:
            error = str(reason)
    return _opaque(upright, background), error


@contextmanager
def _plain_reasons(max_pixels: int) -> Iterator[None]:
    try:
        yield
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError(NO_KIND) from None
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
    if image.format == "TIFF":
        values = _sixteen_bits(values, image)
    scaled = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    scaled.info, scaled.format = image.info, image.format
    if "transparency" in image.info:
        clear = values == image.info["transparency"]
        scaled.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
        del scaled.info["transparency"]
    return scaled


def _sixteen_bits(values: np.ndarray, image: Image.Image) -> np.ndarray:
    """Bring the grey values (h, w) of a TIFF to 0..65535, black at 0; Pillow gives them as stored.

    TIFF 6.0, tags 258 and 262: 12 bits for each value, white at 0.
    """
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(ExifTags.Base.BitsPerSample, (16,))
    if bits == (12,):
        values = (values * 65535 + 2047) // 4095
    return 65535 - values if tags.get(ExifTags.Base.PhotometricInterpretation) == 0 else values


def _opaque(image: Image.Image, background: Rgb) -> Image.Image:
    """Lay it over the background; what is not grey becomes RGB (CMYK, palettes, YCbCr)."""
    if image.has_transparency_data:
        below = Image.new("RGBA", image.size, background)
        below.alpha_composite(image.convert("RGBA"))
        return below.convert("RGB")
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)
