"""Every layout of an image file is read as the picture that was written, or refused.

Each test writes one picture in many layouts. A layout that is refused is refused by name.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from belong.data.image_reader import read_image
from belong.data.unreadable import UnreadableError

BACKGROUND = (10, 120, 230)
HEIGHT, WIDTH = 21, 37  # neither is a multiple of a tile, or of 8
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (HEIGHT, WIDTH, 1), dtype=np.uint8)
SMOOTH = np.moveaxis(np.mgrid[:HEIGHT, :WIDTH], 0, -1)[..., [0, 1, 1]].astype(np.uint8) * 5


def pixels_of(path: Path) -> np.ndarray:
    """Return the pixels that are read, (h, w) or (h, w, 3), as numbers that may be subtracted."""
    image = read_image(path, needed_px=999, max_pixels=99_999, background=BACKGROUND)
    return np.asarray(image).astype(int)


def over_background(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha / 255
    return np.asarray(color * share + np.array(BACKGROUND) * (1 - share))


def assert_same(path: Path, expected: np.ndarray, layout: object, *, off: float = 1) -> None:
    actual = pixels_of(path)
    if actual.ndim != expected.ndim:  # grey, or color with three equal channels
        actual, expected = np.atleast_3d(actual), np.atleast_3d(expected)
    assert actual.shape[:2] == expected.shape[:2], layout
    assert np.abs(actual - expected).max() <= off, layout


# --- TIFF ----------------------------------------------------------------------------------------

LOSSLESS = ["none", "lzw", "adobe_deflate", "deflate", "packbits", "lzma", "zstd"]
PLACES: list[dict[str, Any]] = [{}, {"rowsperstrip": 5}, {"tile": (16, 16)}]


def layouts(*, planes: bool) -> Iterator[dict[str, Any]]:
    """Yield the ways to lay out samples that tifffile has."""
    plans = ["contig", "separate"] if planes else [None]
    for place, plan, order, is_big in product(PLACES, plans, "<>", (False, True)):
        more = {} if plan is None else {"planarconfig": plan}
        yield {**place, **more, "byteorder": order, "bigtiff": is_big}


@pytest.mark.robustness
@pytest.mark.parametrize("compression", LOSSLESS)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_tiff_of_grey_or_color_is_the_picture_in_every_layout(
    tmp_path: Path, compression: str, kind: type[np.unsignedinteger[Any]]
) -> None:
    factor = 1 if kind is np.uint8 else 257
    for predictor in (False, True):
        if predictor and compression in ("none", "packbits"):
            continue
        for layout in layouts(planes=False):
            for white in ("minisblack", "miniswhite"):
                samples = GREY if white == "minisblack" else 255 - GREY
                tifffile.imwrite(
                    tmp_path / "a.tif", samples.astype(kind) * factor, photometric=white,
                    compression=compression, predictor=predictor, **layout,
                )  # fmt: skip
                assert_same(tmp_path / "a.tif", GREY, (layout, white), off=0)
        for layout in layouts(planes=True):
            samples = COLOR.astype(kind) * factor
            if layout["planarconfig"] == "separate":
                samples = np.moveaxis(samples, -1, 0)
            tifffile.imwrite(
                tmp_path / "a.tif", samples, photometric="rgb", compression=compression,
                predictor=predictor, **layout,
            )  # fmt: skip
            assert_same(tmp_path / "a.tif", COLOR, layout, off=0)


@pytest.mark.parametrize("compression", ["png", "webp", "jpegxl", "lerc"])
def test_a_tiff_that_is_compressed_as_another_format_is_the_picture(
    tmp_path: Path, compression: str
) -> None:
    for place in PLACES:
        lossless = {"lossless": True} if compression in ("webp", "jpegxl") else {}
        tifffile.imwrite(
            tmp_path / "a.tif", COLOR, photometric="rgb", compression=compression,
            compressionargs=lossless, **place,
        )  # fmt: skip
        assert_same(tmp_path / "a.tif", COLOR, place)


@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "ycbcr"])
def test_a_tiff_of_jpegs_is_nearly_the_picture(tmp_path: Path, photometric: str) -> None:
    picture = expected = SMOOTH[..., 0] if photometric == "minisblack" else SMOOTH
    if photometric == "ycbcr":  # the writer expects samples that are already converted
        expected = np.asarray(Image.fromarray(picture, "YCbCr").convert("RGB"))
    samplings = [(1, 1), (2, 1), (2, 2)] if photometric == "ycbcr" else [None]
    places: list[dict[str, Any]] = [{}, {"rowsperstrip": 16}, {"tile": (16, 16)}]
    for place, sampling in product(places, samplings):
        more = {} if sampling is None else {"subsampling": sampling}
        tifffile.imwrite(
            tmp_path / "a.tif", picture, photometric=photometric, compression="jpeg",
            compressionargs={"level": 100}, **place, **more,
        )  # fmt: skip
        assert np.abs(pixels_of(tmp_path / "a.tif") - expected).mean() < 8, (place, sampling)


def test_a_jpeg_in_a_tiff_that_lost_a_part_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    noise = RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    tifffile.imwrite(path, noise, photometric="rgb", compression="jpeg")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at, length = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    content[at + length // 2 : at + length - 2] = bytes(length - 2 - length // 2)
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=r"^damaged: (Corrupt|Premature)"):
        pixels_of(path)


def packed(values: np.ndarray, bits: int) -> bytes:
    """Pack values (h, w) of so many bits, each row from a new byte on."""
    places = np.arange(bits - 1, -1, -1)
    each = (values.astype(np.int64)[..., None] >> places & 1).astype(np.uint8)
    return np.packbits(each.reshape(len(values), -1), axis=1).tobytes()


def plain_tiff(width: int, height: int, data: bytes, **tags: Any) -> bytes:
    """Write a TIFF of one strip, not compressed, with tags by their numbers (as `t258=8`)."""
    entries = {256: width, 257: height, 259: 1, 273: 0, 277: 1, 278: height, 279: len(data)}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    values = {tag: [one] if isinstance(one, int) else list(one) for tag, one in entries.items()}
    end = 8 + 2 + 12 * len(values) + 4
    values_elsewhere, body = b"", b""
    for tag, several in sorted(values.items()):
        content = struct.pack(f"<{len(several)}I", *several)
        if tag == 273:
            body += struct.pack("<HHI", tag, 4, 1) + b"DATA"
        elif len(several) > 1:
            body += struct.pack("<HHII", tag, 4, len(several), end + len(values_elsewhere))
            values_elsewhere += content
        else:
            body += struct.pack("<HHI", tag, 4, 1) + content
    head = b"II*\0" + struct.pack("<IH", 8, len(values)) + body + bytes(4) + values_elsewhere
    return head.replace(b"DATA", struct.pack("<I", len(head))) + data


@pytest.mark.parametrize("bits", range(1, 33))
def test_grey_of_every_depth_is_the_picture_or_refused(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    picture = GREY.astype(np.int64) * top // 255
    for photometric in (0, 1):
        samples = picture if photometric else top - picture
        content = plain_tiff(WIDTH, HEIGHT, packed(samples, bits), t258=bits, t262=photometric)
        (tmp_path / "a.tif").write_bytes(content)
        if bits in (24, 32):
            with pytest.raises(
                UnreadableError, match=r"grayscale (values from|of 32 bits)|of 24 bits"
            ):
                pixels_of(tmp_path / "a.tif")
        else:
            assert_same(tmp_path / "a.tif", picture * 255 / top, (bits, photometric))


@pytest.mark.parametrize(
    ("bits", "compression", "predictor"),
    [(8, 1, 2), (8, 32773, 2), (8, 7, 2), (4, 8, 2), (12, 8, 2), (16, 8, 3), (8, 8, 34892)],
)
def test_a_predictor_that_only_some_programs_apply_is_refused(
    tmp_path: Path, bits: int, compression: int, predictor: int
) -> None:
    content = plain_tiff(
        WIDTH, HEIGHT, b"data", t258=bits, t259=compression, t262=1, t317=predictor
    )
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(UnreadableError, match=rf"^a TIFF of {bits} bits .* with a predictor"):
        pixels_of(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [2, 4, 8, 10, 12, 14, 16])
def test_color_of_every_depth_is_the_picture(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    picture = COLOR.astype(np.int64) * top // 255
    data = packed(picture.reshape(HEIGHT, -1), bits)
    content = plain_tiff(WIDTH, HEIGHT, data, t258=[bits] * 3, t262=2, t277=3)
    (tmp_path / "a.tif").write_bytes(content)
    assert_same(tmp_path / "a.tif", picture * 255 / top, bits)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("shift", [0, 8], ids=["8 bits", "16 bits"])
def test_a_palette_of_every_depth_is_looked_up(tmp_path: Path, bits: int, shift: int) -> None:
    colors = RNG.integers(0, 256, (2**bits, 3))
    places = RNG.integers(0, 2**bits, (HEIGHT, WIDTH))
    table = (colors.T << shift).ravel().tolist()
    content = plain_tiff(WIDTH, HEIGHT, packed(places, bits), t258=bits, t262=3, t320=table)
    (tmp_path / "a.tif").write_bytes(content)
    assert_same(tmp_path / "a.tif", colors[places], (bits, shift), off=0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", ["none", "lzw"])
def test_every_kind_of_tiff_is_turned_upright(
    tmp_path: Path, orientation: int, compression: str
) -> None:
    turn: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1), 8: lambda a: np.rot90(a, 1),
    }  # fmt: skip
    inks = np.concatenate([COLOR, ALPHA], axis=-1)
    on_paper = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
    cases: list[tuple[np.ndarray, np.ndarray, dict[str, Any]]] = [
        (GREY, GREY, {"photometric": "minisblack"}),
        (GREY.astype(np.uint16) * 257, GREY, {"photometric": "minisblack"}),
        (COLOR, COLOR, {"photometric": "rgb"}),
        (COLOR.astype(np.uint16) * 257, COLOR, {"photometric": "rgb"}),
        (inks, on_paper, {"photometric": "separated"}),
        (GREY > 99, 255 * (GREY > 99), {"photometric": "minisblack"}),
    ]
    for samples, expected, options in cases:
        tifffile.imwrite(
            tmp_path / "a.tif", samples, compression=compression, rowsperstrip=7,
            extratags=[(274, "H", 1, orientation, True)], **options,
        )  # fmt: skip
        assert_same(
            tmp_path / "a.tif", turn[orientation](expected), (options, samples.dtype), off=0
        )


def test_the_extra_samples_of_a_tiff_are_transparency_only_where_they_say_so(
    tmp_path: Path,
) -> None:
    path, blended = tmp_path / "a.tif", over_background(COLOR, ALPHA)
    whole = np.concatenate([COLOR, ALPHA], axis=-1)
    premultiplied = np.concatenate([(COLOR * (ALPHA / 255)).round().astype(np.uint8), ALPHA], -1)
    for place, factor in product(PLACES, (1, 257)):
        for samples, extra, expected, off in (
            (whole, "unassalpha", blended, 2),
            (premultiplied, "assocalpha", blended, 3),
            (whole, "unspecified", COLOR, 0),
        ):
            data = samples.astype(np.uint8 if factor == 1 else np.uint16) * factor
            tifffile.imwrite(path, data, photometric="rgb", extrasamples=[extra], **place)
            assert_same(path, expected, (place, factor, extra), off=off)
        grey = np.concatenate([GREY[..., None], ALPHA], axis=-1).astype(np.uint8)
        tifffile.imwrite(path, grey, photometric="minisblack", extrasamples=["unassalpha"], **place)
        assert_same(path, over_background(GREY[..., None], ALPHA), place, off=2)


@pytest.mark.parametrize(
    "kind", [np.int8, np.int16, np.float16, np.float32, np.float64, np.uint64, np.complex64]
)
@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_numbers_whose_white_is_not_known_are_refused(
    tmp_path: Path, kind: type[Any], photometric: str
) -> None:
    samples = (COLOR if photometric == "rgb" else GREY).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric=photometric)
    with pytest.raises(UnreadableError, match=r"unknown|bits for each sample"):
        pixels_of(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"photometric": "cfa"}, "a raw photo"),
        ({"photometric": "linear_raw"}, "a raw photo"),
        ({"photometric": "minisblack", "planarconfig": "contig"}, "3 bands"),
        ({"photometric": "rgb", "compression": "jpeg2000"}, "the compression JPEG2000"),
        ({"photometric": "icclab"}, "the photometric interpretation ICCLAB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_tiff_of_a_meaning_that_is_not_known_is_refused(
    tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    is_single = options["photometric"] == "cfa"
    tifffile.imwrite(tmp_path / "a.tif", GREY if is_single else COLOR, **options)
    with pytest.raises(UnreadableError, match=reason):
        pixels_of(tmp_path / "a.tif")


def test_the_small_picture_that_a_raw_photo_shows_first_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(COLOR[:8, :8], photometric="rgb", subifds=1, subfiletype=1)
        tiff.write(RNG.integers(0, 9999, (64, 64), dtype=np.uint16), photometric="cfa")
    with pytest.raises(UnreadableError, match="a raw photo of a camera"):
        pixels_of(tmp_path / "a.tif")


def test_smaller_copies_of_a_picture_do_not_make_it_a_raw_photo(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(COLOR, photometric="rgb", subifds=1)
        tiff.write(COLOR[::2, ::2], photometric="rgb", subfiletype=1)
    assert_same(tmp_path / "a.tif", COLOR, "pyramid", off=0)


@pytest.mark.parametrize("compression", LOSSLESS)
def test_a_tiff_of_which_a_strip_is_missing_is_refused(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COLOR, photometric="rgb", compression=compression, rowsperstrip=5)
    content = path.read_bytes()
    for spoil in ("offset", "length", "cut"):
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            assert isinstance(page, tifffile.TiffPage)
            places = {"offset": page.tags[273].valueoffset, "length": page.tags[279].valueoffset}
            end = max(page.dataoffsets)
        damaged = bytearray(content)
        if spoil == "cut":
            damaged = damaged[: end + 3]
        else:
            damaged[places[spoil] : places[spoil] + 4] = bytes(4)
        (tmp_path / "b.tif").write_bytes(damaged)
        with pytest.raises(UnreadableError):
            pixels_of(tmp_path / "b.tif")


def test_the_wrong_length_of_a_single_strip_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COLOR, photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        assert isinstance(page, tifffile.TiffPage)
        place, (length,) = page.tags[279].valueoffset, page.databytecounts
    content = path.read_bytes()
    assert struct.unpack_from("<I", content, place) == (length,) == (COLOR.size,)
    path.write_bytes(content[:place] + struct.pack("<I", 1) + content[place + 4 :])
    assert_same(path, COLOR, "length 1", off=0)


def tiff_of_ycbcr(to: Path, compression: str, **tags: tuple[int, ...]) -> None:
    codes = {"weights": (529, 5), "subsampling": (530, 3), "range": (532, 5)}
    more = [
        (
            codes[name][0],
            codes[name][1],
            len(value) // (2 if codes[name][1] == 5 else 1),
            value,
            True,
        )
        for name, value in tags.items()
    ]
    samples = np.asarray(Image.fromarray(SMOOTH).convert("YCbCr"))
    tifffile.imwrite(
        to, samples, photometric="rgb", compression=compression, rowsperstrip=5, extratags=more,
    )  # fmt: skip
    content = bytearray(to.read_bytes())
    with tifffile.TiffFile(to) as tiff:
        page = tiff.pages.first
        assert isinstance(page, tifffile.TiffPage)
        content[page.tags[262].valueoffset] = 6  # the photometric interpretation
    to.write_bytes(content)


@pytest.mark.parametrize("compression", LOSSLESS)
def test_a_tiff_of_ycbcr_without_jpeg_is_the_picture(tmp_path: Path, compression: str) -> None:
    tiff_of_ycbcr(tmp_path / "a.tif", compression, subsampling=(1, 1))
    assert_same(tmp_path / "a.tif", SMOOTH, compression, off=4)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"subsampling": (2, 2)},
        {"subsampling": (1, 1), "range": (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1)},
        {"subsampling": (1, 1), "weights": (2126, 10000, 7152, 10000, 722, 10000)},
    ],
    ids=["default", "subsampled", "range", "weights"],
)
@pytest.mark.parametrize("compression", ["none", "lzw"])
def test_a_tiff_of_other_ycbcr_without_jpeg_is_refused(
    tmp_path: Path, compression: str, tags: dict[str, tuple[int, ...]]
) -> None:
    tiff_of_ycbcr(tmp_path / "a.tif", compression, **tags)
    with pytest.raises(UnreadableError, match="YCbCr with reduced resolution or range"):
        pixels_of(tmp_path / "a.tif")


MODES = ["1", "L", "LA", "P", "PA", "I;16", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"]
PACKED = ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_deflate", "lzma", "zstd"]
FAX = ["group3", "group4", "tiff_ccitt"]  # black and white


@pytest.mark.parametrize(("mode", "compression"), [*product(MODES, PACKED), *product(["1"], FAX)])
def test_what_pillow_writes_as_tiff_is_the_picture_that_it_was(
    tmp_path: Path, mode: str, compression: str
) -> None:
    image = Image.fromarray(COLOR).convert("L" if mode == "I;16" else "RGB")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    elif mode == "LAB":
        image = Image.fromarray(COLOR, "LAB")
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.tif", compression=compression)
    expected = image if mode != "I;16" else image.point(lambda value: value / 257).convert("L")
    if image.has_transparency_data:
        below = Image.new("RGBA", image.size, BACKGROUND)
        below.alpha_composite(image.convert("RGBA"))
        expected = below.convert("RGB")
    elif mode not in ("1", "L", "I;16"):
        expected = image.convert("RGB")
    off = 2 if mode == "YCbCr" else 0  # libtiff converts it by a formula of its own
    actual = pixels_of(tmp_path / "a.tif")
    assert (
        np.abs(actual - np.asarray(expected.convert("L" if actual.ndim == 2 else "RGB"))).max()
        <= off
    )


# --- PNG -----------------------------------------------------------------------------------------

ADAM7 = [
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
    (1, 0, 2, 1),
]  # fmt: skip


def chunk(kind: bytes, content: bytes) -> bytes:
    whole = kind + content
    return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))


def png(
    values: np.ndarray,
    bits: int,
    color_type: int,
    *,
    interlaced: bool,
    lost_rows: int = 0,
    more: Mapping[str, bytes] = MappingProxyType({}),
) -> bytes:
    """Write values (h, w, s) as a PNG (ISO/IEC 15948) without its last `lost_rows` rows."""
    passes = [values[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [values]
    lines = [line.reshape(1, -1) for part in passes if part.size for line in part]
    data = zlib.compress(
        b"".join(b"\0" + packed(line, bits) for line in lines[: len(lines) - lost_rows])
    )
    height, width, _ = values.shape
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, int(interlaced))
    others = b"".join(chunk(name.encode(), content) for name, content in more.items())
    ends = chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + others + ends


DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


@pytest.mark.parametrize(
    ("color_type", "bits"), [(kind, bits) for kind, several in DEPTHS.items() for bits in several]
)
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("is_clear", [False, True])
def test_a_png_of_every_color_type_and_depth_is_the_picture(
    tmp_path: Path, color_type: int, bits: int, interlaced: bool, is_clear: bool
) -> None:
    count, top = SAMPLES[color_type], 2**bits - 1
    rng = np.random.default_rng(bits)
    values = rng.integers(0, top + 1, (HEIGHT, WIDTH, count))
    alpha, more = np.full((HEIGHT, WIDTH, 1), 255.0), {}
    color = values[..., : 3 if color_type in (2, 6) else 1] * 255 / top
    if color_type == 3:
        palette = rng.integers(0, 256, (top + 1, 3))
        more["PLTE"] = palette.astype(np.uint8).tobytes()
        color = palette[values[..., 0]]
    if color_type in (4, 6):
        alpha = values[..., -1:] * 255 / top
    elif is_clear and color_type == 3:
        clear = rng.integers(0, 256, top + 1)
        more["tRNS"] = clear.astype(np.uint8).tobytes()
        alpha = clear[values]
    elif is_clear:
        key = values[3, 4].copy()
        values[5, 5:7] = key
        values[5, 6, 0] ^= 1  # differs in its last bit: it is not transparent
        color = values * 255 / top
        more["tRNS"] = struct.pack(f">{count}H", *key)
        alpha = np.where((values == key).all(axis=-1, keepdims=True), 0, 255)
    content = png(values, bits, color_type, interlaced=interlaced, more=more)
    (tmp_path / "a.png").write_bytes(content)
    assert_same(tmp_path / "a.png", over_background(color, alpha), (color_type, bits), off=2.5)


@pytest.mark.parametrize(
    ("color_type", "bits"), [(kind, bits) for kind, several in DEPTHS.items() for bits in several]
)
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_that_lacks_its_last_rows_is_refused(
    tmp_path: Path, color_type: int, bits: int, interlaced: bool
) -> None:
    black = np.zeros((HEIGHT, WIDTH, SAMPLES[color_type]), int)
    white = np.full_like(black, 2**bits - 1)
    more = {"PLTE": bytes(3 * 2**bits)} if color_type == 3 else {}
    for lost_rows in (1, HEIGHT // 2):
        content = png(
            white, bits, color_type, interlaced=interlaced, lost_rows=lost_rows, more=more
        )
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(UnreadableError, match="cut off"):
            pixels_of(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png(black, bits, color_type, interlaced=interlaced, more=more))
    assert pixels_of(tmp_path / "b.png").shape[:2] == (HEIGHT, WIDTH)


def test_the_note_of_a_png_that_is_damaged_does_not_cost_the_picture(tmp_path: Path) -> None:
    whole = png(COLOR, 8, 2, interlaced=False)
    broken = bytearray(chunk(b"tEXt", b"Comment\0by hand"))
    broken[-1] ^= 1  # its check sum
    (tmp_path / "a.png").write_bytes(whole[:33] + broken + whole[33:])
    assert_same(tmp_path / "a.png", COLOR, "text", off=0)


# --- others --------------------------------------------------------------------------------------

PILLOW: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "bmp": [(mode, {}) for mode in ("1", "L", "P", "RGB")],
    "gif": [(mode, {}) for mode in ("1", "L", "P")],
    "ppm": [(mode, {}) for mode in ("1", "L", "RGB")],
    "webp": [(mode, {"lossless": True, "exact": True}) for mode in ("L", "RGB", "RGBA")],
}


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [(kind, mode, options) for kind, cases in PILLOW.items() for mode, options in cases],
)
def test_what_pillow_writes_is_the_picture_that_it_was(
    tmp_path: Path, kind: str, mode: str, options: dict[str, Any]
) -> None:
    image = Image.fromarray(np.concatenate([COLOR, ALPHA], axis=-1)).convert(mode)
    image.save(tmp_path / f"a.{kind}", **options)
    if mode == "RGBA":
        assert_same(tmp_path / f"a.{kind}", over_background(COLOR, ALPHA), mode, off=2)
    else:
        assert_same(tmp_path / f"a.{kind}", np.asarray(image.convert("RGB")), mode, off=0)


SUBSAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("needed_px", [999, 60, 30, 10], ids=["1/1", "1/2", "1/4", "1/8"])
def test_a_jpeg_has_the_pixels_that_pillow_decodes(
    tmp_path: Path, subsampling: str, progressive: bool, needed_px: int
) -> None:
    rng = np.random.default_rng(1)
    for mode, (width, height) in product(("L", "RGB", "CMYK"), ((257, 131), (300, 200))):
        bands = len(Image.new(mode, (1, 1)).getbands())
        noise = rng.integers(60, 90, (height, width, bands), dtype=np.uint8)
        image = Image.fromarray(noise[..., 0] if bands == 1 else noise, mode)
        path = tmp_path / "a.jpg"
        image.save(path, quality=90, subsampling=subsampling, progressive=progressive)
        actual = read_image(path, needed_px=needed_px, max_pixels=10**6, background=BACKGROUND)
        with Image.open(path) as plain:
            plain.draft(None, (2 * needed_px, 2 * needed_px))
            expected = plain.convert("L" if mode == "L" else "RGB")
        assert actual.size == expected.size
        np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))


def test_the_writer_of_png_in_this_file_writes_what_libpng_reads() -> None:
    for interlaced in (False, True):
        content = png(COLOR, 8, 2, interlaced=interlaced)
        np.testing.assert_array_equal(imagecodecs.png_decode(content), COLOR)


def test_a_bmp_of_an_unusual_depth_is_not_called_damaged(tmp_path: Path) -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 2, 0, 16, 0, 0, 4, 0)
    content = header + bytes(32)
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 86, 0, 0, 70) + content)
    with pytest.raises(UnreadableError, match=r"not supported: Unsupported BMP pixel depth \(2\)"):
        pixels_of(tmp_path / "a.bmp")


def test_a_png_without_its_palette_has_a_reason_in_words(tmp_path: Path) -> None:
    content = png(GREY[..., None], 8, 3, interlaced=False)
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableError, match="damaged: the decoder gives no reason"):
        pixels_of(tmp_path / "a.png")
