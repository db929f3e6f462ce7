"""A damaged picture is listed with a reason, unless its bytes do not show the damage.

Formats without check sums cannot tell all damage. What is scored of a damaged file is then what an
independent decoder makes of these bytes, without an error.
"""

import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from belong.data.image_reader import read_image
from belong.data.jpeg_decoder import has_lost_block
from belong.data.unreadable import UnreadableError

Damage = Callable[[bytes, np.random.Generator], bytes]
SEEDS = range(8)


def like_a_photo(height: int, width: int) -> np.ndarray:
    """Return smooth colors with some noise: (h, w, 3) uint8."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 12, 3)).astype(np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


COLOR = like_a_photo(120, 160)
PICTURE = Image.fromarray(COLOR)
GREY, COLORS, BLACK = PICTURE.convert("L"), PICTURE.quantize(64), PICTURE.convert("1")


def file(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def tiff(**options: Any) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(content, COLOR, photometric="rgb", rowsperstrip=16, **options)
    return content.getvalue()


JPEGS = {
    "baseline": file(PICTURE, "JPEG", quality=85),
    "grey": file(GREY, "JPEG", quality=85),
    "4:4:4": file(PICTURE, "JPEG", quality=85, subsampling=0),
    "restarts": file(PICTURE, "JPEG", quality=85, restart_marker_blocks=8),
    "progressive": file(PICTURE, "JPEG", quality=85, progressive=True),
    "progressive, restarts": file(
        PICTURE, "JPEG", quality=85, progressive=True, restart_marker_rows=1
    ),
    "CMYK": file(PICTURE.convert("CMYK"), "JPEG", quality=85),
}
# With a checksum over all pixels: all damage is detected.
CHECKED = {
    "png": file(PICTURE, "PNG"),
    "png, grey": file(GREY, "PNG"),
    "png, palette": file(COLORS, "PNG"),
    "png, 16 bits": file(Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257), "PNG"),
    "tiff, deflate": tiff(compression="zlib"),
    "tiff, png": tiff(compression="png"),
    "tiff, lzma": tiff(compression="lzma"),
}
OTHERS = {
    "webp": file(PICTURE, "WEBP", quality=80),
    "webp, lossless": file(PICTURE, "WEBP", lossless=True),
    "gif": file(COLORS, "GIF"),
    "bmp": file(PICTURE, "BMP"),
    "ppm": file(PICTURE, "PPM"),
    "avif": file(PICTURE, "AVIF"),
    "tiff": tiff(),
    "tiff, lzw": tiff(compression="lzw"),
    "tiff, packbits": tiff(compression="packbits"),
    "tiff, jpeg": tiff(compression="jpeg"),
    "tiff, zstd": tiff(compression="zstd"),
    **{f"tiff, {name}": file(BLACK, "TIFF", compression=name) for name in ("group3", "group4")},
}
FILES = JPEGS | CHECKED | OTHERS


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content) // 3, len(content) - 1))]


def cut_and_ended(content: bytes, rng: np.random.Generator) -> bytes:
    return cut(content, rng) + b"\xff\xd9"


def a_part(content: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """Choose a random part of a file after its headers: 64 bytes to a quarter of the file."""
    n = int(rng.integers(64, len(content) // 4))
    start = int(rng.integers(len(content) // 4, len(content) - n))
    return start, start + n


def zeroed(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = a_part(content, rng)
    return content[:start] + bytes(stop - start) + content[stop:]


def overwritten(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = a_part(content, rng)
    return content[:start] + rng.bytes(stop - start) + content[stop:]


def with_a_part_lost(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = a_part(content, rng)
    return content[:start] + content[stop:]


def doubled(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = a_part(content, rng)
    return content[:stop] + content[start:]


def bit_flipped(content: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(content) // 4, len(content) - 12))
    return (
        content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :]
    )


def restarts(content: bytes) -> list[int]:
    """Return where the restart markers of a JPEG are."""
    pairs = itertools.pairwise(content)
    return [place for place, (one, two) in enumerate(pairs) if one == 255 and 0xD0 <= two <= 0xD7]


def restart_swapped(content: bytes, rng: np.random.Generator) -> bytes:
    places = restarts(content)
    first = int(rng.integers(len(places) - 1))
    one, other = places[first : first + 2]
    damaged = bytearray(content)
    damaged[one + 1], damaged[other + 1] = damaged[other + 1], damaged[one + 1]
    return bytes(damaged)


def interval_lost(content: bytes, rng: np.random.Generator) -> bytes:
    places = restarts(content)
    first = int(rng.integers(len(places) - 1))
    return content[: places[first]] + content[places[first + 1] :]


DAMAGE: list[Damage] = [
    cut, cut_and_ended, zeroed, overwritten, with_a_part_lost, doubled, bit_flipped,
]  # fmt: skip
OF_RESTARTS: list[Damage] = [restart_swapped, interval_lost]


def decoded(content: bytes, folder: Path) -> np.ndarray | str:
    """Return the pixels, or the reason why there are none."""
    path = folder / "image"
    path.write_bytes(content)
    try:
        image = read_image(path, needed_px=10**4, max_pixels=10**7, background=(255, 255, 255))
    except UnreadableError as error:
        return str(error)
    return np.asarray(image)


def otherwise_decoded(content: bytes, name: str) -> np.ndarray:
    """Return the pixels that another decoder gives; it may raise."""
    if name == "tiff, zstd":  # which Pillow lacks
        return np.asarray(tifffile.imread(io.BytesIO(content)))
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))


PAIRS = [
    *itertools.product(FILES, DAMAGE),
    *itertools.product([name for name in JPEGS if "restarts" in name], OF_RESTARTS),
]


@pytest.mark.robustness
@pytest.mark.parametrize(("name", "damage"), PAIRS)
def test_a_damaged_picture_is_listed_or_another_decoder_sees_no_damage(
    name: str, damage: Damage, tmp_path: Path
) -> None:
    for seed in SEEDS:
        damaged = damage(FILES[name], np.random.default_rng(seed))
        pixels = decoded(damaged, tmp_path)
        if isinstance(pixels, str):
            assert re.match("(damaged|cut off|empty): .*[a-z]", pixels), pixels
            continue
        assert damage not in (cut, cut_and_ended), seed
        assert name not in CHECKED, seed
        other = otherwise_decoded(damaged, name)
        np.testing.assert_allclose(pixels.astype(int), other, atol=2, err_msg=f"seed {seed}")


@pytest.mark.robustness
@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("damage", [with_a_part_lost, doubled, overwritten, zeroed])
def test_few_damaged_jpegs_go_unnoticed(name: str, damage: Damage, tmp_path: Path) -> None:
    """A decoder finds its way again behind the damage, and may find as many blocks as there are."""
    damaged = [damage(JPEGS[name], np.random.default_rng(seed)) for seed in range(40)]
    unnoticed = sum(not isinstance(decoded(one, tmp_path), str) for one in damaged)
    assert unnoticed <= (0 if damage is zeroed and "progressive" not in name else 6)


@pytest.mark.parametrize("name", [name for name in JPEGS if "restarts" in name])
@pytest.mark.parametrize("damage", OF_RESTARTS)
def test_a_jpeg_without_one_of_its_restart_intervals_is_damaged(
    name: str, damage: Damage, tmp_path: Path
) -> None:
    for seed in SEEDS:
        damaged = damage(JPEGS[name], np.random.default_rng(seed))
        assert str(decoded(damaged, tmp_path)).startswith("damaged: "), seed


def test_a_png_with_a_wrong_check_sum_is_damaged_as_libpng_finds(tmp_path: Path) -> None:
    """Pillow takes inflated zeros for the rest of the picture, and reads no further."""
    content, accepted = FILES["png"], 0
    for seed in range(40):
        damaged = zeroed(content, np.random.default_rng(seed))
        with pytest.raises(imagecodecs.PngError):
            imagecodecs.png_decode(damaged)
        assert decoded(damaged, tmp_path) == "damaged: the checksum of its pixels is wrong"
        try:
            otherwise_decoded(damaged, "png")
            accepted += 1
        except (OSError, SyntaxError):
            continue
    assert accepted


@pytest.mark.parametrize("compression", ["group3", "group4"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_fax_data_that_two_decoders_read_differently_is_damaged(
    compression: str, orientation: int, tmp_path: Path
) -> None:
    whole = file(BLACK, "TIFF", compression=compression, tiffinfo={274: orientation})
    pixels = decoded(whole, tmp_path)
    expected = np.asarray(BLACK.convert("L"))
    np.testing.assert_array_equal(pixels, expected if orientation == 1 else np.rot90(expected, -1))
    for seed in SEEDS:
        damaged = zeroed(whole, np.random.default_rng(seed))
        assert "two decoders read different pictures" in str(decoded(damaged, tmp_path))


EVEN = {
    "black": np.zeros((600, 600, 3), np.uint8),
    "white": np.full((600, 600, 3), 255, np.uint8),
    "steps": np.tile(np.repeat(np.arange(75, dtype=np.uint8), 8)[None, :, None], (600, 1, 3)),
    "a square": np.pad(np.full((40, 40, 3), 255, np.uint8), ((280, 280), (280, 280), (0, 0))),
}  # fmt: skip


@pytest.mark.parametrize("name", EVEN)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [{}, {"optimize": True}, {"optimize": True, "quality": 5}, {"optimize": True, "quality": 100},
     {"optimize": True, "subsampling": 0}, {"optimize": True, "restart_marker_rows": 1},
     {"progressive": True}],
)  # fmt: skip
def test_the_zeros_of_an_even_picture_are_no_lost_block(
    name: str, mode: str, options: dict[str, Any]
) -> None:
    content = file(Image.fromarray(EVEN[name]).convert(mode), "JPEG", **options)
    assert not has_lost_block(content)
    if name == "black" and mode == "L" and options == {"optimize": True}:
        assert bytes(64) in content


def test_zeros_in_the_notes_of_a_jpeg_are_no_lost_block(tmp_path: Path) -> None:
    content = JPEGS["baseline"]
    note = b"\xff\xe1" + (5002).to_bytes(2, "big") + bytes(5000)
    for with_zeros in (content[:2] + note + content[2:], content + bytes(5000)):
        pixels = decoded(with_zeros, tmp_path)
        np.testing.assert_array_equal(pixels, decoded(content, tmp_path))
