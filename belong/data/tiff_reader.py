"""Decode the first page of a TIFF, in every layout with a defined meaning.

tifffile reads the tags, imagecodecs the strips and tiles. A layout is the number of bits, the order
of bytes, bits and samples, the compression, the predictor, the photometric interpretation and the
orientation (TIFF 6.0). Each strip becomes 8 bits for each sample as soon as it is decoded.
"""

import logging
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import ceil
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps
from tifffile import COMPRESSION, PHOTOMETRIC, PREDICTOR, TiffFile, TiffPage, TiffPages

from belong.data.jpeg_decoder import jpeg_damage
from belong.data.unreadable import UnreadableError

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # otherwise it logs to stderr

COMPRESSIONS = {
    COMPRESSION.NONE, COMPRESSION.CCITTRLE, COMPRESSION.CCITT_T4, COMPRESSION.CCITT_T6,
    COMPRESSION.LZW, COMPRESSION.JPEG, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS, COMPRESSION.LZMA, COMPRESSION.ZSTD, COMPRESSION.WEBP, COMPRESSION.LERC,
    COMPRESSION.PNG, COMPRESSION.JPEGXL,
}  # fmt: skip
FAX = {COMPRESSION.CCITTRLE, COMPRESSION.CCITT_T4, COMPRESSION.CCITT_T6}
# For other compressions and bit depths, programs differ in whether they apply a predictor.
PREDICTED = {
    COMPRESSION.LZW, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE, COMPRESSION.LZMA,
    COMPRESSION.ZSTD,
}  # fmt: skip
PREDICTED_BITS = (8, 16, 32)
# Photometric interpretation -> number of samples without extra samples.
SAMPLES: dict[int, int] = {
    PHOTOMETRIC.MINISWHITE: 1, PHOTOMETRIC.MINISBLACK: 1, PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.PALETTE: 1, PHOTOMETRIC.SEPARATED: 4, PHOTOMETRIC.YCBCR: 3, PHOTOMETRIC.CIELAB: 3,
}  # fmt: skip
# Mode of Pillow.
MODES: dict[int, str] = {
    PHOTOMETRIC.SEPARATED: "CMYK", PHOTOMETRIC.YCBCR: "YCbCr", PHOTOMETRIC.CIELAB: "LAB",
}  # fmt: skip
GREY: set[int] = {PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK}
SENSOR: set[int] = {PHOTOMETRIC.CFA, PHOTOMETRIC.LINEAR_RAW}  # raw data of a camera's sensor
PREMULTIPLIED, ALPHA = 1, (1, 2, 999)  # types of extra samples; CorelDRAW 10 writes 999
SUBFILE_TYPE, ORIENTATION, INK_SET, PROFILE, DNG_VERSION = 254, 274, 332, 34675, 50706
YCBCR_WEIGHTS, YCBCR_SUBSAMPLING, YCBCR_RANGE = 529, 530, 532
BT601 = [0.299, 0.587, 0.114]
FULL_RANGE = [0, 255, 128, 255, 128, 255]  # black and white of Y, Cb and Cr
REDUCED = 1  # bit of the subfile type
CMYK_INKS = 1
# Sample formats. TIFF 6.0 advises to read an undefined one as unsigned numbers.
UNSIGNED, SIGNED, FLOAT, COMPLEX = (1, 4), 2, 3, (5, 6)
WHITE = 65535
RAW_PHOTO = "a raw photo of a camera, which is not supported; save it as JPEG or PNG"
MISSING_PART = "damaged: a part of the picture is missing"
MOST_PAGES = 16  # maximum number of pages to examine, and of directories below a page

Scaling = Callable[[np.ndarray], np.ndarray]


def page_count(file: BinaryIO) -> int:
    """Count the pages by their directories, up to a damaged directory.

    Pillow would take quadratic time.
    """
    file.seek(0)
    start = file.read(16)
    order = "<" if start[:1] == b"I" else ">"
    is_big = start[2:4] in (b"\x2b\0", b"\0\x2b")
    number, link, entry = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    (offset,) = struct.unpack_from(order + link, start, 8 if is_big else 4)
    offsets: set[int] = set()
    while offset and offset not in offsets:
        try:
            file.seek(offset)
            (entries,) = struct.unpack(order + number, file.read(struct.calcsize(number)))
            file.seek(entries * entry, 1)
            (following,) = struct.unpack(order + link, file.read(struct.calcsize(link)))
        except (struct.error, OSError, OverflowError, ValueError):
            break
        offsets.add(offset)
        offset = following
    return max(1, len(offsets))


def page_size(file: BinaryIO) -> tuple[int, int]:
    """Return width and height of the first page."""
    file.seek(0)
    with TiffFile(file) as tiff:
        page = _first(tiff)
        return page.imagewidth, page.imagelength


def first_page(file: BinaryIO, check_size: Callable[[tuple[int, int]], None]) -> Image.Image | None:
    """Decode the first page in mode 1, L, LA, RGB, RGBA, CMYK, YCbCr or LAB, without rotating it.

    Args:
        file: the TIFF.
        check_size: called with width and height before decoding; may raise to refuse.

    Returns:
        The image, with its orientation and its color profile; None if the page is JPEG in the form
        before TIFF 6.0, which libtiff reads.

    Raises:
        UnreadableError: a layout with unknown black, white or colors.
    """
    file.seek(0)
    with TiffFile(file) as tiff:
        page = _first(tiff)
        check_size((page.imagewidth, page.imagelength))
        _refuse_raw(page, tiff)
        if page.compression == COMPRESSION.OJPEG:
            return None
        _refuse_unknown(page)
        image = _image(_samples(file, page, _scaling(page)), page)
        image.getexif()[ExifTags.Base.Orientation] = int(page.tags.valueof(ORIENTATION, 1))
        if page.compression in FAX and image.mode == "1":
            _check_fax(file, image)
        if (profile := page.tags.valueof(PROFILE)) is not None:
            image.info["icc_profile"] = bytes(profile)
        image.format = "TIFF"
        return image


def _check_fax(file: BinaryIO, image: Image.Image) -> None:
    """Refuse fax data that libtiff decodes differently: they are damaged, without an error."""
    file.seek(0)
    try:
        with Image.open(file, formats=("TIFF",)) as other:
            other.load()  # which turns it upright
            pixels = np.asarray(other)
    except Exception:  # a layout that Pillow does not know
        return
    if not np.array_equal(pixels, np.asarray(ImageOps.exif_transpose(image))):
        raise UnreadableError("damaged: two decoders read different pictures from its fax data")


def _first(tiff: TiffFile) -> TiffPage:
    try:
        page = tiff.pages.first
    except IndexError:
        raise UnreadableError("damaged: no first page") from None
    if not isinstance(page, TiffPage):
        raise UnreadableError("damaged: no first page")
    return page


def _refuse_raw(page: TiffPage, tiff: TiffFile) -> None:
    """Refuse a raw photo, whose first page is only a preview."""
    if page.photometric in SENSOR or DNG_VERSION in page.tags:
        raise UnreadableError(RAW_PHOTO)
    if any(one.photometric in SENSOR for one in _pages(tiff.pages)):
        raise UnreadableError(RAW_PHOTO)
    if page.pages is None:
        return
    page_pixels = page.imagewidth * page.imagelength
    is_reduced = bool(page.tags.valueof(SUBFILE_TYPE, 0) & REDUCED)
    for place in range(min(len(page.pages), MOST_PAGES)):
        sub = page.pages.get(place, aspage=True)
        if not isinstance(sub, TiffPage):
            continue
        is_larger = sub.imagewidth * sub.imagelength > page_pixels
        if sub.photometric in SENSOR or is_larger or is_reduced:
            raise UnreadableError(RAW_PHOTO)


def _pages(pages: TiffPages) -> Iterator[TiffPage]:
    """Yield the first pages, up to a damaged one."""
    with suppress(Exception):  # a damaged file makes a reader raise anything
        for place in range(MOST_PAGES):
            page = pages.get(place, aspage=True)
            if isinstance(page, TiffPage):
                yield page


def _refuse_unknown(page: TiffPage) -> None:
    """Refuse layouts that cannot be decoded or converted without ambiguity."""
    kind = page.photometric
    reason = ""
    if kind not in SAMPLES:
        name = getattr(kind, "name", kind)
        reason = f"a TIFF of the photometric interpretation {name}"
    elif page.compression not in COMPRESSIONS:
        name = getattr(page.compression, "name", page.compression)
        reason = f"a TIFF with the compression {name}"
    elif page.predictor != PREDICTOR.NONE and (
        page.predictor != PREDICTOR.HORIZONTAL
        or page.compression not in PREDICTED
        or page.bitspersample not in PREDICTED_BITS
    ):
        name = getattr(page.compression, "name", page.compression)
        reason = f"a TIFF of {page.bitspersample} bits and the compression {name} with a predictor"
    elif page.bitspersample == 24:  # programs differ in the byte order in a little-endian file
        reason = "a TIFF of 24 bits for each sample"
    elif page.imagedepth != 1:
        reason = f"a volume of {page.imagedepth} slices"
    elif kind == PHOTOMETRIC.SEPARATED and page.tags.valueof(INK_SET, CMYK_INKS) != CMYK_INKS:
        reason = "a TIFF of inks other than CMYK"
    elif kind == PHOTOMETRIC.YCBCR and (
        page.samplesperpixel not in (1, 3) or page.planarconfig != 1
    ):
        reason = "a TIFF of YCbCr in planes, or with extra samples"
    elif (
        kind == PHOTOMETRIC.YCBCR
        and page.compression != COMPRESSION.JPEG
        and not _is_full_color(page)
    ):
        reason = "a TIFF of YCbCr with reduced resolution or range of its colors, without JPEG"
    elif isinstance(page.bitspersample, tuple) or page.dtype is None:
        reason = f"a TIFF of {page.bitspersample} bits for each sample"
    if reason:
        raise UnreadableError(f"{reason}, which is not supported; save it as JPEG or PNG")


def _is_full_color(page: TiffPage) -> bool:
    """Return whether YCbCr is that of JPEG: BT.601, 0 to 255, and colors for every pixel."""
    numbers = {
        name: [a / b for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
        for name in (YCBCR_WEIGHTS, YCBCR_RANGE)
        if (pairs := page.tags.valueof(name)) is not None
    }
    return (
        page.tags.valueof(YCBCR_SUBSAMPLING, (2, 2)) == (1, 1)
        and np.allclose(numbers.get(YCBCR_WEIGHTS, BT601), BT601, atol=1e-3)
        and numbers.get(YCBCR_RANGE, FULL_RANGE) == FULL_RANGE
    )


def _scaling(page: TiffPage) -> Scaling:
    """Return a function that scales decoded values to 0..255; palette indices stay unchanged."""
    bits, form = page.bitspersample, page.sampleformat
    is_grey = page.photometric in GREY
    subject, top = "grayscale" if is_grey else "color", 2**bits - 1
    if form in (FLOAT, *COMPLEX):
        raise UnreadableError(
            f"{subject} with fractional values, whose white level is unknown; save it as PNG"
        )
    if bits == 32 and is_grey:  # treated as 16 bits, if the values fit
        if page.photometric == PHOTOMETRIC.MINISWHITE:
            raise UnreadableError(
                "grayscale of 32 bits with white at 0, whose black level is unknown"
            )
        return _grey_of_16
    if form not in UNSIGNED or bits > 31:
        sign = "signed " if form == SIGNED else ""
        raise UnreadableError(
            f"{subject} of {sign}{bits} bits, whose black and white levels are unknown; save it as "
            "PNG"
        )
    if page.photometric == PHOTOMETRIC.PALETTE or bits == 8:
        return lambda values: values
    if page.photometric == PHOTOMETRIC.CIELAB:
        raise UnreadableError(
            f"CIELAB of {bits} bits, which is not supported; save it as JPEG or PNG"
        )
    if bits < 8:
        return lambda values: ((values.astype(np.uint16) * 255 + top // 2) // top).astype(np.uint8)
    if bits == 16:
        return _grey_of_16 if is_grey else lambda values: (values >> 8).astype(np.uint8)
    return lambda values: _grey_of_16((values.astype(np.uint64) * WHITE + top // 2) // top)


def _grey_of_16(values: np.ndarray) -> np.ndarray:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > WHITE:
        raise UnreadableError(f"grayscale values from {low} to {high}; expected 0 to 65535")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _samples(file: BinaryIO, page: TiffPage, scaled: Scaling) -> np.ndarray:
    """Return the samples (h, w, s); `scaled` is applied to each strip or tile."""
    planes, _, height, width, samples = page.shaped
    if not width * height:
        raise UnreadableError("empty: 0 pixels")
    kind = page.dtype if page.photometric == PHOTOMETRIC.PALETTE else np.uint8
    result = np.empty((planes, height, width, samples), kind)
    for index, data in _segments(file, page, planes):
        decoded, (plane, _, top, left, _), _ = page.decode(
            data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader
        )
        if decoded is None:
            raise UnreadableError(MISSING_PART)
        part = scaled(decoded[0, : height - top, : width - left])
        result[plane, top : top + part.shape[0], left : left + part.shape[1]] = part
    return result[0] if planes == 1 else np.moveaxis(result[..., 0], 0, -1)


def _segments(file: BinaryIO, page: TiffPage, planes: int) -> Iterator[tuple[int, bytes]]:
    """Yield index and bytes of each strip or tile; refuse a missing or incomplete one."""
    height, width = page.imagelength, page.imagewidth
    if page.is_tiled:
        rows, count = page.tilelength, ceil(height / page.tilelength) * ceil(width / page.tilewidth)
        across = page.tilewidth
    else:
        rows, count, across = page.rowsperstrip, ceil(height / page.rowsperstrip), width
    count *= planes
    bits = across * page.samplesperpixel // planes * page.bitspersample
    if min(len(page.dataoffsets), len(page.databytecounts)) < count:
        raise UnreadableError(MISSING_PART)
    for index in range(count):
        offset, length = page.dataoffsets[index], page.databytecounts[index]
        if page.compression == COMPRESSION.NONE:
            first = index % (count // planes) * rows
            row_count = rows if page.is_tiled else min(rows, height - first)
            least = ceil(bits / 8) * row_count
            if length < least and count > planes:
                raise UnreadableError(MISSING_PART)
            length = max(length, least)  # some programs write a wrong length of a single strip
        if not offset or not length:
            raise UnreadableError(MISSING_PART)
        file.seek(offset)
        data = file.read(length)
        if len(data) < length and (
            page.compression != COMPRESSION.NONE or len(data) < page.databytecounts[index]
        ):
            raise UnreadableError(f"cut off: {length - len(data)} bytes of the picture are missing")
        if page.compression == COMPRESSION.JPEG and (why := jpeg_damage(data, page.jpegtables)):
            raise UnreadableError(f"damaged: {why}")
        yield index, data


def _image(samples: np.ndarray, page: TiffPage) -> Image.Image:
    """Return the image of samples (h, w, s)."""
    kind, color_samples = page.photometric, SAMPLES[page.photometric]
    if kind == PHOTOMETRIC.YCBCR and page.compression == COMPRESSION.JPEG:  # converted by libjpeg
        kind, color_samples = (
            (PHOTOMETRIC.RGB, 3) if samples.shape[-1] == 3 else (PHOTOMETRIC.MINISBLACK, 1)
        )
    count = samples.shape[-1]
    if count < color_samples:
        raise UnreadableError(f"damaged: {count} samples for each pixel; expected {color_samples}")
    extra = list(page.extrasamples)[: count - color_samples]
    if kind == PHOTOMETRIC.RGB and count == 4 and not extra:
        extra = [ALPHA[1]]
    alpha = next((place for place, one in enumerate(extra) if one in ALPHA), None)
    if kind in GREY and alpha is None and count > 2:
        raise UnreadableError(f"{count} bands, and it is unknown which of them form the picture")
    if kind == PHOTOMETRIC.PALETTE:
        colors, mode = _palette(page)[samples[..., 0].astype(np.intp)], "RGB"
    elif kind in GREY:
        colors, mode = samples[..., :1], "L"
        if kind == PHOTOMETRIC.MINISWHITE:
            colors = 255 - colors
    else:
        colors, mode = samples[..., :color_samples], MODES.get(kind, "RGB")
    if alpha is None:
        image = _of_mode(colors, mode)
        return image.convert("1") if page.bitspersample == 1 and mode == "L" else image
    if mode not in ("L", "RGB"):
        raise UnreadableError(f"{mode} with transparency, which is not supported; save it as PNG")
    clear = samples[..., color_samples + alpha : color_samples + alpha + 1]
    if kind == PHOTOMETRIC.PALETTE:
        clear = clear.astype(np.uint8)
    if extra[alpha] != PREMULTIPLIED:
        return _of_mode(np.concatenate([colors, clear], axis=-1), f"{mode}A")
    whole = np.concatenate([np.broadcast_to(colors, (*colors.shape[:2], 3)), clear], axis=-1)
    image = _of_mode(whole, "RGBA", raw="RGBa")  # Pillow divides the colors by alpha
    return image if mode == "RGB" else image.convert("LA")


def _of_mode(pixels: np.ndarray, mode: str, *, raw: str = "") -> Image.Image:
    """Return an image of pixels (h, w, ch) uint8."""
    height, width, _ = pixels.shape
    whole = np.ascontiguousarray(pixels)
    return Image.frombuffer(mode, (width, height), whole, "raw", raw or mode, 0, 1)


def _palette(page: TiffPage) -> np.ndarray:
    """Return the colors (k, 3) uint8 of a palette."""
    colors = page.colormap
    if colors is None or colors.shape != (3, 2**page.bitspersample):
        raise UnreadableError("damaged: the palette does not match the range of the pixels")
    # Some programs write 8 bits instead of 16, which libtiff accepts, too.
    shift = 8 if colors.max() > 255 else 0
    return np.asarray(colors.T >> shift, np.uint8)
