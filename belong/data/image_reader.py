"""Decode an image file to complete 8-bit grey or RGB, upright and opaque, or refuse it."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import jpeg_factory

from belong.data.color_profile import BrokenProfileError, to_srgb
from belong.data.image_kinds import (
    DRAWINGS,
    HEAD,
    HEIF,
    NOT_READ,
    PNG_START,
    RAW,
    RAW_PHOTO,
    TIFF_STARTS,
    head_of,
    is_heif,
    kind_of,
)
from belong.data.jpeg_decoder import whole_jpeg
from belong.data.unreadable import TOO_LARGE, UnreadableError
from belong.runtime.text import counted

# Of what Pillow knows. Not EPS, which it has Ghostscript run; not JPEG 2000, of which it takes
# half a file for a whole one.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
READ_KINDS = {*FORMATS, "HEIF"}
NOT_RAW = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP")
NO_KIND = "not an image, or of no kind that is read"
NO_HEIF = "a HEIC photo, which is read with an extra: pip install pillow-heif"

JPEG = ("JPEG", "MPO")  # an MPO is a JPEG with a second picture behind it
# A JPEG is decoded row by row, at 1/8 of its size if no more is needed: it may have so many times
# the pixels of another image, which has to be decoded whole.
JPEG_FACTOR = 8
# Pillow refuses a PNG for a text, or a color profile, that is longer than 1 MiB, or damaged. These
# chunks are what the pixels need, and how they are turned and repeated.
PNG_NEEDS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"acTL", b"fcTL", b"fdAT"}
PIXELS, PROFILE = b"IDAT", b"iCCP"
PIECE = 2**20  # bytes that are read at a time
MOST_PROFILE = 2**24  # bytes
GREY, TRUECOLOR = 0, 2  # of the color types of PNG
STRIP_PIXELS = 2**22  # that are converted in one go

Rgb = tuple[int, int, int]


def heif_without_reader(paths: Iterable[Path]) -> str:
    """Return one line about HEIC photos that cannot be read here; "" if all can, or none is there.

    Files with a name of HEIC are opened, to see what they are; the others are not.
    """
    if find_spec("pillow_heif") is not None:
        return ""
    named = (path for path in paths if path.suffix.lower() in HEIF)
    count = sum(map(_is_heif_file, named))
    what = counted(count, "HEIC photo")
    return f"{what} cannot be read; run pip install pillow-heif" if count else ""


def _is_heif_file(path: Path) -> bool:
    return is_heif(head_of(path))


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
            start, suffix = file.read(HEAD), path.suffix.lower()
            if start.startswith(TIFF_STARTS) and suffix not in RAW and kind_of(start) != RAW_PHOTO:
                return _tiff(file, max_pixels=max_pixels, background=background)
            read = partial(
                _content, suffix=suffix, needed_px=needed_px, max_pixels=max_pixels,
                background=background,
            )  # fmt: skip
            try:
                return read(file)
            except UnreadableError:
                raise
            except Exception as error:  # a damaged file makes a decoder raise anything
                if start.startswith(PNG_START):
                    with suppress(Exception):  # what was raised first says what is wrong
                        bare, profile = _bare_png(file)
                        return read(bare, profile=profile)
                if isinstance(error, UnidentifiedImageError) and (kind := kind_of(start)):
                    raise UnreadableError(
                        f"damaged: a {kind} whose header cannot be read"
                    ) from None
                raise


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height by the header of a file; nothing is decoded.

    Raises:
        UnreadableError: it has none that can be read.
    """
    with _plain_reasons(0):
        if not path.is_file():
            raise UnreadableError(_no_file(path))
        with path.open("rb") as file:
            if file.read(HEAD).startswith(TIFF_STARTS):
                from belong.data.tiff_reader import page_size  # 0.2 s, which few folders need

                return page_size(file)
            with _opened(file, path.suffix.lower()) as image:
                return image.size


def has_color(path: Path, *, needed_px: int, max_pixels: int) -> bool:
    """Return whether a file can be read, and is not grey."""
    try:
        image = read_image(
            path, needed_px=needed_px, max_pixels=max_pixels, background=(255, 255, 255)
        )
    except UnreadableError:
        return False
    return image.mode == "RGB" and bool(np.ptp(np.asarray(image), axis=2).any())


def shorter_side(path: Path) -> int:
    """Return the shorter side by the file's header; 0 if it has none that can be read."""
    try:
        return min(image_size(path))
    except UnreadableError:
        return 0


def _content(
    file: BinaryIO, *, suffix: str, needed_px: int, max_pixels: int, background: Rgb,
    profile: bytes | None = None,
) -> ImageContent:  # fmt: skip
    """Decode an image that is no TIFF; see `read_file`.

    A `profile` takes the place of the one that was left out of the file; b"" if it is damaged.
    """
    with _opened(file, suffix) as image:
        size = image.size
        if image.format in JPEG:
            # It comes at 1/2, 1/4 or 1/8 of its size for a fraction of the work. Twice the size
            # that is needed leaves the last step to the better filter, as in Pillow's `thumbnail`.
            image.draft(None, jpeg_draft_size(needed_px))
        _check_size(image, size, max_pixels)
        frames = _frames(image, file)
        if profile is not None:
            image.info["icc_profile"] = profile
        kind = image.format or ""
        decoded = image
        if kind in JPEG:
            decoded = whole_jpeg(image, file)
        elif kind == "PNG":
            _check_sums(file)
            decoded = _with_clear_color(image, file)
        plain, profile_error = _plain(decoded, background, is_own=True)
        return ImageContent(plain, size, kind, frames, profile_error)


def jpeg_draft_size(needed_px: int) -> tuple[int, int]:
    """Return the size that a JPEG is decoded at least at."""
    return 2 * needed_px, 2 * needed_px


def _tiff(file: BinaryIO, *, max_pixels: int, background: Rgb) -> ImageContent:
    """Decode the first page of a TIFF; see `read_file`."""
    from belong.data.tiff_reader import first_page, page_count  # as above

    image = first_page(file, lambda size: _check_pixels(size, max_pixels))
    frames = page_count(file)
    file.seek(0)
    with Image.open(file, formats=("TIFF",)) if image is None else image as page:
        size = page.size
        _check_size(page, size, max_pixels)
        plain, profile_error = _plain(page, background, is_own=True)
    return ImageContent(plain, size, "TIFF", frames, profile_error)


def _opened(file: BinaryIO, suffix: str) -> Image.Image:
    """Open an image by its content; nothing of it is decoded."""
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    kind = kind_of(head)
    formats = NOT_RAW if suffix in NOT_READ or kind == RAW_PHOTO else FORMATS
    if suffix == ".dib":  # a BMP without its first header, which nothing else tells from noise
        formats = (*formats, "DIB")
    try:
        return Image.open(file, formats=formats)
    except UnidentifiedImageError:  # a brand of HEIC may be one of AVIF, too, which is tried first
        if is_heif(head):
            return _opened_heif(file)
        if suffix in NOT_READ | DRAWINGS:
            raise UnreadableError(f"{suffix} is not read; save it as JPEG or PNG") from None
        if kind and kind not in READ_KINDS:
            raise UnreadableError(f"{kind} is not read; save it as JPEG or PNG") from None
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


def _bare_png(file: BinaryIO) -> tuple[BytesIO, bytes | None]:
    """Return a PNG without all that its pixels do not need, and its color profile apart."""
    file.seek(len(PNG_START))
    kept, profile = BytesIO(), None
    kept.write(PNG_START)
    while len(start := file.read(8)) == 8:
        (length,) = struct.unpack(">I", start[:4])
        body = file.read(length + 4)  # and its check sum
        if start[4:] in PNG_NEEDS:
            kept.write(start + body)
        elif start[4:] == PROFILE:
            profile = _inflated(body[:-4])
    kept.seek(0)
    return kept, profile


def _inflated(content: bytes) -> bytes:
    """Return the profile of a PNG's chunk: a name, 0, the method, and compressed bytes; or b""."""
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(content[content.index(0) + 2 :], MOST_PROFILE)
    except (ValueError, zlib.error):
        return b""
    return profile if inflater.eof else b""


def _check_sums(file: BinaryIO) -> None:
    """Refuse a PNG if a check sum of its pixel data is wrong: Pillow does not look at these."""
    file.seek(len(PNG_START))
    while len(start := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        if name != PIXELS:
            file.seek(length + 4, 1)
            continue
        check_sum = zlib.crc32(name)
        while length and (part := file.read(min(length, PIECE))):
            check_sum, length = zlib.crc32(part, check_sum), length - len(part)
        end = file.read(4)
        if len(end) == 4 and end != check_sum.to_bytes(4, "big"):
            raise UnreadableError("damaged: the check sum of its pixels is wrong")


def _with_clear_color(image: Image.Image, file: BinaryIO) -> Image.Image:
    """Decode a PNG; where it has a transparent color, bring that to the depth of the pixels.

    Pillow has it as it is stored, and the pixels at 8 bits (grey of 16: at 16).
    """
    file.seek(24)
    depth, color_type = file.read(2)
    clear = image.info.get("transparency")
    if color_type == TRUECOLOR and depth == 16 and clear is not None:
        return _color_of_16(image, file)
    if color_type == GREY and isinstance(clear, int):
        clear &= 2**depth - 1
        image.info["transparency"] = clear * 255 // (2**depth - 1) if depth < 8 else clear
    elif color_type == TRUECOLOR and isinstance(clear, tuple):
        image.info["transparency"] = tuple(value & 255 for value in clear)
    return image


def _color_of_16(image: Image.Image, file: BinaryIO) -> Image.Image:
    """Decode a PNG of 16-bit color with a transparent one, which Pillow compares at 8 bits."""
    from imagecodecs import png_decode  # 0.1 s, which few files need

    image.load()  # refuses what is damaged
    file.seek(0)
    pixels = png_decode(file.read())
    decoded = Image.fromarray((pixels.reshape(*pixels.shape[-3:]) >> 8).astype(np.uint8), "RGBA")
    decoded.info = {key: value for key, value in image.info.items() if key != "transparency"}
    decoded.format = image.format
    return decoded


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
    _check_pixels(size, JPEG_FACTOR * max_pixels if is_by_rows else max_pixels)
    _check_pixels(image.size, max_pixels)


def _check_pixels(size: tuple[int, int], allowed: int) -> None:
    width, height = size
    if not width * height:
        raise UnreadableError("empty: 0 pixels")
    if width * height > allowed:
        raise UnreadableError(
            f"{width} x {height} is {width * height / 1e6:.1f} megapixels; "
            f"{allowed / 1e6:g} are allowed"
        )


def _plain(image: Image.Image, background: Rgb, *, is_own: bool = False) -> tuple[Image.Image, str]:
    """Return the image in mode L or RGB, and why its color profile could not be used, or "".

    Of the steps between, no more than two are in memory, if the first one, too, `is_own`: then it
    is closed.
    """
    image.load()
    has_profile, profile = "icc_profile" in image.info, image.info.get("icc_profile")
    error = ""

    def in_srgb(upright: Image.Image) -> Image.Image:
        nonlocal error
        try:
            return to_srgb(upright, profile)
        except BrokenProfileError as reason:
            error = str(reason)
            return upright

    current = image
    for step in (_eight_bits, _upright, *([in_srgb] if has_profile else [])):
        following = step(current)
        if following is not current and (is_own or current is not image):
            current.close()
        current = following
    return _opaque(current, background), error


@contextmanager
def _plain_reasons(max_pixels: int) -> Iterator[None]:
    try:
        yield
    except UnreadableError:
        raise
    except MemoryError:
        raise UnreadableError(TOO_LARGE) from None
    except UnidentifiedImageError:
        raise UnreadableError(NO_KIND) from None
    except Image.DecompressionBombError:
        raise UnreadableError(f"too large; {max_pixels / 1e6:g} megapixels are allowed") from None
    except Exception as error:  # a damaged file makes a decoder raise anything
        raise UnreadableError(_plainly(error)) from None


def _frames(image: Image.Image, file: BinaryIO) -> int:
    if image.format != "GIF":
        return frames_of(image)
    # To count its frames takes a walk through the file, which ends the image that is at hand.
    at = file.tell()
    file.seek(0)
    try:
        return frames_of(Image.open(file, formats=("GIF",)))
    except Exception:  # a damaged file makes a decoder raise anything
        return 1
    finally:
        file.seek(at)


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
    if "memory" in text.lower():
        return TOO_LARGE
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
    low, high = (int(value) for value in np.array(image.getextrema()))
    if low < 0 or high > 65535:
        raise UnreadableError(f"grey from {low} to {high}; expected 0 to 65535")
    clear = image.info.get("transparency")
    scaled = Image.new("L" if clear is None else "LA", image.size)
    for box in _strips(image):
        values = np.asarray(image.crop(box)).astype(np.int64)
        if image.format == "TIFF":
            values = _sixteen_bits(values, image)
        strip = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        if clear is not None:
            strip.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
        scaled.paste(strip, box)
    scaled.info = {key: value for key, value in image.info.items() if key != "transparency"}
    scaled.format = image.format
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
        opaque = Image.new("RGB", image.size)
        for box in _strips(image):
            strip = image.crop(box).convert("RGBA")
            below = Image.new("RGBA", strip.size, background)
            below.alpha_composite(strip)
            opaque.paste(below.convert("RGB"), box)
        return opaque
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _strips(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes of rows that make up the image: what is made of each takes little memory."""
    width, height = image.size
    rows = max(1, STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)
