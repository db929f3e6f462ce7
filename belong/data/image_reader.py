"""Decode an image file to complete 8-bit gray or RGB, upright and opaque, or refuse it."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from math import ceil
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

# Formats that Pillow decodes. EPS is excluded, as Pillow would run Ghostscript, and JPEG 2000, as
# Pillow does not detect truncated files.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
READ_KINDS = {*FORMATS, "HEIF"}
NOT_RAW = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP")
NO_KIND = "not an image, or not in a supported format"
CLOSED = "closed; expected an open image, or one that was loaded before it was closed"
NO_HEIF = "a HEIC photo; to read HEIC photos, run pip install pillow-heif"

JPEG = ("JPEG", "MPO")  # an MPO is a JPEG followed by a second picture
# Factor of the pixel limit for a JPEG, which is decoded row by row, and at 1/8 of its size if that
# is enough. Other images are decoded as a whole.
JPEG_FACTOR = 8
# Pillow refuses a PNG with a text or color profile that is damaged or longer than 1 MiB. These
# chunks are sufficient to decode the pixels, the orientation and the frames.
PNG_NEEDS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"acTL", b"fcTL", b"fdAT"}
PIXELS, PROFILE = b"IDAT", b"iCCP"
PIECE = 2**20  # bytes that are read at a time
MOST_PROFILE = 2**24  # bytes
GREY, TRUECOLOR = 0, 2  # color types of PNG
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # color type -> samples per pixel
# First row and column of each pass of an interlaced PNG, and the steps to the next ones.
ADAM7 = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
    (1, 0, 2, 1),
)  # fmt: skip
STRIP_PIXELS = 2**22  # number of pixels that are converted at a time

Rgb = tuple[int, int, int]


def heif_without_reader(paths: Iterable[Path]) -> str:
    """Return one line about HEIC photos that cannot be read, or "" if there are none.

    Only files with an extension of HEIC are opened.
    """
    if find_spec("pillow_heif") is not None:
        return ""
    named = (path for path in paths if path.suffix.lower() in HEIF)
    count = sum(map(_is_heif_file, named))
    photos = counted(count, "HEIC photo")
    return f"{photos} cannot be read; run pip install pillow-heif" if count else ""


def _is_heif_file(path: Path) -> bool:
    return is_heif(head_of(path))


@dataclass(frozen=True)
class ImageContent:
    """The content of an image file.

    Attributes:
        image: the first frame, of mode L or RGB, in sRGB.
        size: full width and height; `image` of a JPEG may be smaller.
        kind: format of the content, as Pillow names it.
        frames: number of frames.
        profile_error: the reason why the color profile cannot be used and sRGB is assumed, or "".
    """

    image: Image.Image
    size: tuple[int, int]
    kind: str
    frames: int
    profile_error: str = ""


def read_image(path: Path, *, needed_px: int, max_pixels: int, background: Rgb) -> Image.Image:
    """Decode the first frame of a file; see `read_file`."""
    content = read_file(path, needed_px=needed_px, max_pixels=max_pixels, background=background)
    return content.image


def read_file(path: Path, *, needed_px: int, max_pixels: int, background: Rgb) -> ImageContent:
    """Decode the first frame of a file, with information about the file.

    Args:
        path: the file; its type is detected by its content.
        needed_px: a JPEG may be decoded smaller, if its shorter side keeps at least twice this.
        max_pixels: a larger image is refused by its header, before it is decoded. For a JPEG the
            decoded pixels count, and the file may have up to JPEG_FACTOR times as many.
        background: color behind transparent pixels.

    Raises:
        UnreadableError: the file is missing, not an image, damaged, truncated, too large, or of an
            unsupported type.
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
            decode = partial(
                _content, suffix=suffix, needed_px=needed_px, max_pixels=max_pixels,
                background=background,
            )  # fmt: skip
            try:
                return decode(file)
            except UnreadableError:
                raise
            except Exception as error:  # a decoder may raise any error for a damaged file
                if start.startswith(PNG_START):
                    with suppress(Exception):  # the first error describes the problem
                        bare, profile = _bare_png(file)
                        return decode(bare, profile=profile)
                if isinstance(error, UnidentifiedImageError) and (kind := kind_of(start)):
                    raise UnreadableError(
                        f"damaged: the header of the {kind} file cannot be read"
                    ) from None
                raise


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height from the header of a file, without decoding.

    Raises:
        UnreadableError: the header cannot be read.
    """
    with _plain_reasons(0):
        if not path.is_file():
            raise UnreadableError(_no_file(path))
        with path.open("rb") as file:
            if file.read(HEAD).startswith(TIFF_STARTS):
                # Imported here: it takes 0.2 s, and few folders need it.
                from belong.data.tiff_reader import page_size

                return page_size(file)
            with _open(file, path.suffix.lower()) as image:
                return image.size


def has_color(path: Path, *, needed_px: int, max_pixels: int) -> bool:
    """Return whether a file is readable and has color."""
    try:
        image = read_image(
            path, needed_px=needed_px, max_pixels=max_pixels, background=(255, 255, 255)
        )
    except UnreadableError:
        return False
    return image.mode == "RGB" and bool(np.ptp(np.asarray(image), axis=2).any())


def shorter_side(path: Path) -> int:
    """Return the shorter side from the file's header; 0 if the header cannot be read."""
    try:
        return min(image_size(path))
    except UnreadableError:
        return 0


def _content(
    file: BinaryIO, *, suffix: str, needed_px: int, max_pixels: int, background: Rgb,
    profile: bytes | None = None,
) -> ImageContent:  # fmt: skip
    """Decode an image that is not a TIFF; see `read_file`.

    `profile` is the color profile that was removed from the file, or b"" if it is damaged.
    """
    with _open(file, suffix) as image:
        size = image.size
        if image.format in JPEG:
            # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size in a fraction of the time. At least
            # twice the needed size remains for the better filter of the resizing, as in Pillow's
            # `thumbnail`.
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
            for _ in _pixel_data(file):
                pass
            decoded = _with_clear_color(image, file)
            _check_rows(image, file)
        plain, profile_error = _plain(decoded, background, is_closable=True)
        return ImageContent(plain, size, kind, frames, profile_error)


def jpeg_draft_size(needed_px: int) -> tuple[int, int]:
    """Return the minimum size at which a JPEG is decoded."""
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
        plain, profile_error = _plain(page, background, is_closable=True)
    return ImageContent(plain, size, "TIFF", frames, profile_error)


def _open(file: BinaryIO, suffix: str) -> Image.Image:
    """Open an image by its content, without decoding."""
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    kind = kind_of(head)
    formats = NOT_RAW if suffix in NOT_READ or kind == RAW_PHOTO else FORMATS
    if suffix == ".dib":  # a BMP without its first header, which its content alone cannot identify
        formats = (*formats, "DIB")
    try:
        return Image.open(file, formats=formats)
    except UnidentifiedImageError:  # some brands are of HEIC and AVIF; AVIF is tried first
        if is_heif(head):
            return _open_heif(file)
        if suffix in NOT_READ | DRAWINGS:
            raise UnreadableError(
                f"{suffix} files are not supported; save the image as JPEG or PNG"
            ) from None
        if kind and kind not in READ_KINDS:
            raise UnreadableError(
                f"{kind} files are not supported; save the image as JPEG or PNG"
            ) from None
        raise
    except Image.DecompressionBombError:
        if not head.startswith(b"\xff\xd8\xff"):
            raise
        file.seek(0)
        return jpeg_factory(file)  # it may be decoded smaller; `_check_size` checks the limits


def _open_heif(file: BinaryIO) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise UnreadableError(NO_HEIF) from None
    file.seek(0)
    image: Image.Image = HeifImageFile(file)  # already upright; its EXIF orientation is reset
    return image


def _bare_png(file: BinaryIO) -> tuple[BytesIO, bytes | None]:
    """Return a PNG with the chunks in PNG_NEEDS only, and its color profile."""
    file.seek(len(PNG_START))
    bare, profile = BytesIO(), None
    bare.write(PNG_START)
    while len(start := file.read(8)) == 8:
        (length,) = struct.unpack(">I", start[:4])
        body = file.read(length + 4)  # with its checksum
        if start[4:] in PNG_NEEDS:
            bare.write(start + body)
        elif start[4:] == PROFILE:
            profile = _inflated(body[:-4])
    bare.seek(0)
    return bare, profile


def _inflated(content: bytes) -> bytes:
    """Return the profile in a PNG chunk (name, 0, method, compressed bytes); b"" if damaged."""
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(content[content.index(0) + 2 :], MOST_PROFILE)
    except (ValueError, zlib.error):
        return b""
    return profile if inflater.eof else b""


def _pixel_data(file: BinaryIO) -> Iterator[bytes]:
    """Yield the compressed pixel data of a PNG, in pieces.

    Raises:
        UnreadableError: a checksum of the pixel data is wrong, which Pillow does not check.
    """
    file.seek(len(PNG_START))
    while len(start := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        if name != PIXELS:
            file.seek(length + 4, 1)
            continue
        check_sum = zlib.crc32(name)
        while length and (part := file.read(min(length, PIECE))):
            check_sum, length = zlib.crc32(part, check_sum), length - len(part)
            yield part
        end = file.read(4)
        if len(end) == 4 and end != check_sum.to_bytes(4, "big"):
            raise UnreadableError("damaged: the checksum of its pixels is wrong")


def _check_rows(image: Image.Image, file: BinaryIO) -> None:
    """Refuse a PNG whose pixel data end before its last row; Pillow fills its rows with zeros.

    The data are only counted if one of the last two rows is zero. The last pass of an interlaced
    image has every other row.
    """
    image.load()
    width, height = image.size
    last_rows = (image.crop((0, y, width, y + 1)) for y in range(max(0, height - 2), height))
    if all(any(row.tobytes()) for row in last_rows):
        return
    file.seek(24)
    bits, color_type, is_interlaced = struct.unpack(">BBxxB", file.read(5))
    row_bits = width * bits * PNG_SAMPLES[color_type]
    missing = height * (1 + ceil(row_bits / 8))
    if is_interlaced:
        sizes = (
            (ceil((height - top) / down), ceil((width - left) / across))
            for top, left, down, across in ADAM7
        )
        missing = sum(
            rows * (1 + ceil(columns * row_bits / width / 8)) for rows, columns in sizes if columns
        )
    inflater = zlib.decompressobj()
    for part in _pixel_data(file):
        while part and missing > 0:
            missing -= len(inflater.decompress(part, PIECE))
            part = inflater.unconsumed_tail
    if missing > len(inflater.flush()):
        raise UnreadableError("cut off: the last rows of the picture are missing")


def _with_clear_color(image: Image.Image, file: BinaryIO) -> Image.Image:
    """Decode a PNG, and convert its transparent color, if any, to the depth of the pixels.

    Pillow keeps the stored value, but converts pixels to 8 bits (16-bit gray stays 16-bit).
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
    """Decode a 16-bit color PNG with a transparent color, which Pillow compares at 8 bits."""
    from imagecodecs import png_decode  # imported here: it takes 0.1 s, and few files need it

    image.load()  # raises an error for a damaged file
    file.seek(0)
    pixels = png_decode(file.read())
    decoded = Image.fromarray((pixels.reshape(*pixels.shape[-3:]) >> 8).astype(np.uint8), "RGBA")
    decoded.info = {key: value for key, value in image.info.items() if key != "transparency"}
    decoded.format = image.format
    return decoded


def plain_image(image: Image.Image, *, max_pixels: int, background: Rgb) -> Image.Image:
    """Convert an image in memory as `read_image` does with a file.

    Raises:
        UnreadableError: the image is damaged, truncated, too large, or of an unsupported type.
    """
    with _plain_reasons(max_pixels):
        _check_size(image, image.size, max_pixels)
        return _plain(image, background)[0]


def _check_size(image: Image.Image, size: tuple[int, int], max_pixels: int) -> None:
    """Refuse an image that takes too much memory, or a JPEG that takes too much time.

    `size` is the full size in the file; the image is decoded at `image.size`.
    """
    # A progressive JPEG is decompressed as a whole before it is decoded.
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
            f"at most {allowed / 1e6:g} are allowed"
        )


def _plain(
    image: Image.Image, background: Rgb, *, is_closable: bool = False
) -> tuple[Image.Image, str]:
    """Return the image in mode L or RGB, and why its color profile cannot be used, or "".

    At most two images are in memory at a time, if `image` may be closed (`is_closable`).
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
        if following is not current and (is_closable or current is not image):
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
        raise UnreadableError(
            f"too large: at most {max_pixels / 1e6:g} megapixels are allowed"
        ) from None
    except Exception as error:  # a decoder may raise any error for a damaged file
        raise UnreadableError(_plainly(error)) from None


def _frames(image: Image.Image, file: BinaryIO) -> int:
    if image.format != "GIF":
        return frames_of(image)
    # Counting the frames of a GIF reads the whole file, which would invalidate `image`.
    at = file.tell()
    file.seek(0)
    try:
        return frames_of(Image.open(file, formats=("GIF",)))
    except Exception:  # a decoder may raise any error for a damaged file
        return 1
    finally:
        file.seek(at)


def frames_of(image: Image.Image) -> int:
    """Count the frames; return 1 if the data after the first frame are damaged."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # a decoder may raise any error for a damaged file
        return 1


def _no_file(path: Path) -> str:
    if path.exists():
        return "not a regular file"
    return "a broken link" if path.is_symlink() else "no such file"


def _plainly(error: Exception) -> str:
    text = " ".join(str(error).split()) or "the decoder gives no reason"
    if "memory" in text.lower():
        return TOO_LARGE
    if text == "Operation on closed image":
        return CLOSED
    if "truncated" in text.lower():
        return f"cut off: {text}"
    if text.startswith("Unsupported BMP"):  # a whole file; others may be damaged in their headers
        return f"not supported: {text}; save the image as JPEG or PNG"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"damaged: {text}"


def _upright(image: Image.Image) -> Image.Image:
    """Rotate the image by its EXIF orientation."""
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image  # the usual case; Pillow would make a copy
        return ImageOps.exif_transpose(image)
    except Exception:  # the EXIF data are damaged, while the picture is intact
        return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit gray, 0..65535, to 0..255; Pillow's own conversion clips at 255."""
    if image.mode == "La":  # premultiplied, which Pillow converts to no mode but LA
        return image.convert("LA")
    if image.mode == "F":
        raise UnreadableError(
            "grayscale with fractional values, whose white level is unknown; save it as PNG"
        )
    if not image.mode.startswith("I"):
        return image
    strips = (np.asarray(image.crop(box)) for box in _strips(image))
    ends = [(int(strip.min()), int(strip.max())) for strip in strips]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if low < 0 or high > 65535:
        raise UnreadableError(f"grayscale values from {low} to {high}; expected 0 to 65535")
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
    """Scale the gray values (h, w) of a TIFF to 0..65535 with black at 0.

    Pillow returns stored values, which may have 12 bits, or white at 0 (TIFF 6.0, tags 258 and
    262).
    """
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(ExifTags.Base.BitsPerSample, (16,))
    if bits == (12,):
        values = (values * 65535 + 2047) // 4095
    return 65535 - values if tags.get(ExifTags.Base.PhotometricInterpretation) == 0 else values


def _opaque(image: Image.Image, background: Rgb) -> Image.Image:
    """Paste the image on the background; convert all modes except gray to RGB."""
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
    """Yield boxes of rows that cover the image, for conversions that take little memory."""
    width, height = image.size
    rows = max(1, STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)
