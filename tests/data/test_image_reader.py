"""Every color mode of image files, against values worked out by hand; incomplete files."""

import io
import os
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from belong.data.image_kinds import is_image_name
from belong.data.image_reader import read_image
from belong.data.unreadable import UnreadableError

WHITE = (255, 255, 255)


def read(
    path: Path, *, needed_px: int = 1000, background: tuple[int, int, int] = WHITE
) -> Image.Image:
    return read_image(path, needed_px=needed_px, max_pixels=1_000_000, background=background)


def pixels(path: Path, *, background: tuple[int, int, int] = WHITE) -> list[object]:
    """Return the values of the image, row by row: numbers if it is grey, else triples."""
    image = np.asarray(read(path, background=background))
    return list(image.reshape(-1, *image.shape[2:]).tolist())


def save_row(path: Path, mode: str, values: list[Any], **options: Any) -> Path:
    """Save an image of one row."""
    image = Image.new(mode, (len(values), 1))
    image.putdata(values)
    image.save(path, **options)
    return path


def photo(width: int = 320, height: int = 200) -> Image.Image:
    """Return smooth waves of color with grain, like a photo."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 31 + k) * np.cos(y / (17 + k)) for k in range(3)]
    values = 128 + 90 * np.stack(waves, axis=-1) + rng.normal(0, 4, (height, width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


# --- colors --------------------------------------------------------------------------------------


def test_grey_stays_grey(tmp_path: Path) -> None:
    assert pixels(save_row(tmp_path / "a.png", "L", [0, 7, 255])) == [0, 7, 255]


def test_color_stays_color(tmp_path: Path) -> None:
    path = save_row(tmp_path / "a.png", "RGB", [(1, 2, 3), (250, 0, 9)])
    assert pixels(path) == [[1, 2, 3], [250, 0, 9]]


def test_the_one_bit_of_a_scan_is_black_or_white(tmp_path: Path) -> None:
    assert pixels(save_row(tmp_path / "a.png", "1", [0, 255, 0])) == [0, 255, 0]


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    image.save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png") == [[40, 50, 60], [10, 20, 30]]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_scaled_to_eight_and_not_clipped(tmp_path: Path, name: str) -> None:
    # v / 257, rounded: 65535 / 257 = 255 exactly, 300 / 257 = 1.17, 32768 / 257 = 127.50.
    values = np.array([[0, 300, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    assert pixels(tmp_path / name) == [0, 1, 128, 255]


def test_sixteen_bits_with_a_transparent_value_show_the_background_there(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(bits=16, rows=[b"\0" + struct.pack(">2H", 300, 65535)], clear=300))
    assert pixels(path, background=(1, 2, 3)) == [[1, 2, 3], [255, 255, 255]]


def test_32_bit_grey_is_read_where_its_values_are_those_of_16_bits(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65535]], np.int32)).save(tmp_path / "a.tif")
    assert pixels(tmp_path / "a.tif") == [0, 255]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 70000]], np.int32), "grayscale values from 0 to 70000; expected 0 to 65535"),
        (
            np.array([[0.5, 1]], np.float32),
            "grayscale with fractional values, whose white level is unknown",
        ),
    ],
    ids=["32 bits", "float"],
)
def test_grey_whose_white_is_not_known_is_refused(
    tmp_path: Path, values: np.ndarray, message: str
) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(UnreadableError, match=message):
        read(tmp_path / "a.tif")


def test_alpha_mixes_the_color_with_the_background(tmp_path: Path) -> None:
    # 0.2 of 200 and 0.8 of the background: 51 / 255 = 0.2.
    path = save_row(tmp_path / "a.png", "RGBA", [(200, 0, 100, 51), (9, 9, 9, 0), (9, 8, 7, 255)])
    assert pixels(path, background=(0, 100, 200)) == [[40, 80, 180], [0, 100, 200], [9, 8, 7]]


def test_alpha_of_a_grey_image_on_a_grey_background_leaves_equal_channels(tmp_path: Path) -> None:
    path = save_row(tmp_path / "a.png", "LA", [(100, 51), (100, 255)])
    assert pixels(path) == [[224, 224, 224], [100, 100, 100]]  # 0.2 x 100 + 0.8 x 255


def test_the_transparent_color_of_a_palette_shows_the_background(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    image.save(tmp_path / "a.png", transparency=0)
    assert pixels(tmp_path / "a.png", background=(0, 0, 0)) == [[40, 50, 60], [0, 0, 0]]


@pytest.mark.parametrize(("mode", "clear", "other"), [("L", 7, 9), ("RGB", (1, 2, 3), (4, 5, 6))])
def test_a_transparent_value_without_alpha_shows_the_background(
    tmp_path: Path, mode: str, clear: Any, other: Any
) -> None:
    path = save_row(tmp_path / "a.png", mode, [clear, other], transparency=clear)
    assert pixels(path) == [[255, 255, 255], [9, 9, 9] if other == 9 else [4, 5, 6]]


@pytest.mark.parametrize("form", ["tif", "jpg"])
def test_cmyk_is_ink_on_white_paper(tmp_path: Path, form: str) -> None:
    """No ink is white, full cyan takes the red away, full black takes all; JPEGs invert it."""
    path = tmp_path / f"a.{form}"
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 0, 0, 255)]
    image = Image.new("CMYK", (24, 8))
    for place, ink in enumerate(inks):
        image.paste(ink, (8 * place, 0, 8 * place + 8, 8))
    image.save(path, quality=100)
    pixels = np.asarray(read(path))[4, 4::8].astype(int)
    assert np.abs(pixels - [[255, 255, 255], [0, 255, 255], [0, 0, 0]]).max() <= 2


def test_ycck_as_photoshop_writes_it_gives_the_color_that_was_meant(tmp_path: Path) -> None:
    """An Adobe marker with transform 2: the inverted inks went through RGB to YCbCr."""
    # Stored Y, Cb, Cr = 76, 85, 255 are R, G, B = 255, 0, 0, and so C, M, Y = 0, 255, 255 (each
    # 255 less). Adobe stores inks inverted, K = 255 too: all cyan and nothing else is printed.
    # Pillow inverts when it saves, hence the 255 less here.
    inverted = Image.new("CMYK", (8, 8), tuple(255 - value for value in (76, 85, 255, 255)))
    content = io.BytesIO()
    inverted.save(content, "JPEG", quality=100)
    (tmp_path / "a.jpg").write_bytes(with_adobe_transform(content.getvalue(), 2))
    red, green, blue = np.asarray(read(tmp_path / "a.jpg"))[4, 4].astype(int).tolist()
    assert (red, green, blue) == pytest.approx((0, 255, 255), abs=6)


def with_adobe_transform(jpeg: bytes, transform: int) -> bytes:
    """Set the transform in the Adobe marker (its last byte): 2 says YCCK."""
    start = jpeg.index(b"\xff\xee\x00\x0eAdobe")
    return jpeg[: start + 15] + bytes([transform]) + jpeg[start + 16 :]


def png(*, bits: int, rows: list[bytes], clear: int) -> bytes:
    """Write a grey PNG, two pixels wide: Pillow writes none of 16 bits with a transparent value."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 2, len(rows), bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            chunk(b"IHDR", header),
            chunk(b"tRNS", struct.pack(">H", clear)),
            chunk(b"IDAT", zlib.compress(b"".join(rows))),
            chunk(b"IEND", b""),
        )
    )


# --- orientation, frames, content ----------------------------------------------------------------

# A corner of each color; what the numbers mean stands in the EXIF standard: where the stored
# first row and first column belong.
CORNERS = np.array([[10, 60], [120, 240]], np.uint8)
UPRIGHT = {
    1: [[10, 60], [120, 240]],
    2: [[60, 10], [240, 120]],  # first column at the right
    3: [[240, 120], [60, 10]],
    4: [[120, 240], [10, 60]],  # first row at the bottom
    5: [[10, 120], [60, 240]],  # first row at the left
    6: [[120, 10], [240, 60]],  # first row at the right
    7: [[240, 60], [120, 10]],
    8: [[60, 240], [10, 120]],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.avif"])
def test_an_image_is_turned_as_its_camera_was_held(
    tmp_path: Path, orientation: int, name: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    large = Image.fromarray(CORNERS.repeat(16, axis=0).repeat(16, axis=1))
    large.save(tmp_path / name, exif=exif, quality=100)
    pixels = np.asarray(read(tmp_path / name).convert("L"))[8::16, 8::16].astype(int)
    assert np.abs(pixels - np.array(UPRIGHT[orientation])).max() <= 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_notes_of_the_camera_do_not_cost_the_picture(tmp_path: Path) -> None:
    photo(32, 32).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")
    assert read(tmp_path / "a.jpg").size == (32, 32)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ((250, 0, 0), (0, 250, 0))]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    red, green, _ = np.asarray(read(tmp_path / name))[4, 4].tolist()
    assert (red, green) == pytest.approx((250, 0), abs=3)


def test_the_content_says_what_a_file_is_not_its_name(tmp_path: Path) -> None:
    save_row(tmp_path / "a.png", "L", [5]).rename(tmp_path / "a.jpg")
    assert pixels(tmp_path / "a.jpg") == [5]


def test_a_large_jpeg_is_decoded_smaller_but_twice_as_large_as_needed(tmp_path: Path) -> None:
    photo(1200, 800).save(tmp_path / "a.jpg", quality=95)
    small = read(tmp_path / "a.jpg", needed_px=100)
    assert small.size == (300, 200)
    whole = read(tmp_path / "a.jpg").resize(small.size, Image.Resampling.BOX)
    difference = np.asarray(small).astype(float) - np.asarray(whole)
    assert np.abs(difference).mean() < 1


@pytest.mark.parametrize(
    ("name", "is_image"),
    [("a.jpg", True), ("a.JPEG", True), ("a.b.TIFF", True), ("a.heic", True), ("a.txt", False),
     ("a.HIF", True), ("a.mpo", True), ("a.pef", True), ("a.dib", True), ("a.JPG.txt", False),
     ("jpg", False), ("a.csv", False), ("Thumbs.db", False), (os.fsdecode(b"\xff.png"), True)],
)  # fmt: skip
def test_a_name_says_whether_a_file_ought_to_be_an_image(name: str, is_image: bool) -> None:
    assert is_image_name(name) == is_image


# --- what is refused -----------------------------------------------------------------------------

FORMS: dict[str, dict[str, Any]] = {
    "a.jpg": {},
    "progressive.jpg": {"progressive": True},
    "a.png": {},
    "a.gif": {},
    "a.webp": {},
    "lossless.webp": {"lossless": True},
    "a.bmp": {},
    "a.ppm": {},
    "a.tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "a.avif": {},
}


@pytest.mark.robustness
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("needed_px", [1000, 20], ids=["whole", "smaller"])
def test_a_file_that_was_cut_off_is_never_half_an_image(
    tmp_path: Path, name: str, share: float, needed_px: int
) -> None:
    photo().save(tmp_path / name, **FORMS[name])
    content = (tmp_path / name).read_bytes()
    assert read(tmp_path / name, needed_px=needed_px).mode == "RGB"
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnreadableError):
        read(tmp_path / name, needed_px=needed_px)


def truncated(path: Path) -> None:
    photo().save(path)
    path.write_bytes(path.read_bytes()[:-500])


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("a.jpg", lambda path: path.write_bytes(b""), "empty: 0 bytes"),
        ("a.jpg", lambda path: path.write_text("hello"), "not an image, or not in a supported for"),
        ("a.jpg", truncated, r"cut off: .*truncated"),
        ("a.png", lambda path: photo(1001, 1000).save(path),
         "1001 x 1000 is 1.0 megapixels; at most 1 are allowed"),
        ("a.png", lambda path: Image.new("1", (10000, 20000)).save(path),
         "too large: at most 1 megapixels are allowed"),
        ("a.heic", lambda path: path.write_bytes(b"x"), "not an image, or not in a supported for"),
        ("a.cr2", lambda path: photo(32, 32).save(path, "TIFF"),
         ".cr2 files are not supported; save the image as JPEG or PNG"),
        ("a.jpg", lambda path: path.symlink_to("nowhere"), "a broken link"),
        ("a.jpg", os.mkfifo, "not a regular file"),
        ("a.jpg", lambda path: path.symlink_to(path), "a broken link"),
    ],
    ids=["empty", "text", "cut", "large", "huge", "heic", "raw", "broken link", "pipe", "circle"],
)  # fmt: skip
def test_why_a_file_gives_no_image_is_said_in_plain_words(
    tmp_path: Path, name: str, spoil: object, message: str
) -> None:
    assert callable(spoil)
    spoil(tmp_path / name)
    with pytest.raises(UnreadableError, match=f"^{message}"):
        read(tmp_path / name)


def test_an_image_that_is_too_large_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """The file has only a header; decoding it would report missing data."""
    photo(1001, 1000).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:100])
    with pytest.raises(UnreadableError, match="megapixels"):
        read(tmp_path / "a.png")


# --- large photos --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "options", "reason"),
    [
        (300, {}, ""),  # 60,000 pixels, of which 38 x 25 are decoded
        (500, {}, "500 x 200 is 0.1 megapixels; at most 0.08 are allowed"),
        (300, {"progressive": True}, "300 x 200 is 0.1 megapixels; at most 0.01 are allowed"),
        (300, {"format": "PNG"}, "300 x 200 is 0.1 megapixels; at most 0.01 are allowed"),
    ],
    ids=["read", "too large", "progressive", "png"],
)
def test_of_a_jpeg_the_pixels_that_are_decoded_count_and_it_may_have_8_times_as_many(
    tmp_path: Path, width: int, options: dict[str, Any], reason: str
) -> None:
    photo(width, 200).save(tmp_path / "a.jpg", **options)
    read_small = partial(read_image, needed_px=10, max_pixels=10_000, background=WHITE)
    if reason:
        with pytest.raises(UnreadableError, match=reason):
            read_small(tmp_path / "a.jpg")
    else:
        assert read_small(tmp_path / "a.jpg").size == (38, 25)


def test_a_jpeg_that_is_decoded_whole_is_refused_where_it_has_too_many_pixels(
    tmp_path: Path,
) -> None:
    photo(300, 200).save(tmp_path / "a.jpg")
    with pytest.raises(
        UnreadableError, match=r"300 x 200 is 0.1 megapixels; at most 0.01 are allowed"
    ):
        read_image(tmp_path / "a.jpg", needed_px=100, max_pixels=10_000, background=WHITE)


def test_a_photo_of_a_phone_is_read_though_pillow_alone_would_refuse_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 megapixels are above Pillow's limit of 179; here, 60,000 above one of 2,000."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    photo(300, 200).save(tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg", needed_px=10).size == (38, 25)
    photo(300, 200).save(tmp_path / "a.png")
    with pytest.raises(UnreadableError, match="too large"):
        read(tmp_path / "a.png", needed_px=10)


# --- what the name says, and what programs write beside the pixels -------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.heic", "a.dng", "a.jp2"])
def test_a_jpeg_is_read_under_the_name_of_any_photo(tmp_path: Path, name: str) -> None:
    Image.new("L", (8, 8), 200).save(tmp_path / name, "JPEG")
    assert np.asarray(read(tmp_path / name))[4, 4] == 200


def chunk(kind: bytes, content: bytes) -> bytes:
    whole = kind + content
    return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_png_with_a_long_text_or_profile_is_whole(
    tmp_path: Path, kind: bytes, place: str
) -> None:
    """Image generators write their whole recipe into it; Pillow alone refuses over 1 MiB."""
    start = {b"zTXt": b"recipe\0\0", b"iTXt": b"recipe\0\1\0\0\0", b"iCCP": b"icc\0\0"}[kind]
    note = chunk(kind, start + zlib.compress(bytes(1_200_000)))
    photo(32, 32).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    at = 33 if place == "before" else whole.rindex(b"IEND") - 4
    (tmp_path / "b.png").write_bytes(whole[:at] + note + whole[at:])
    np.testing.assert_array_equal(read(tmp_path / "b.png"), read(tmp_path / "a.png"))


# --- TIFF ----------------------------------------------------------------------------------------


def tiff(
    width: int, rows: list[bytes], *, bits: int, black_is_0: bool = True, orientation: int = 1
) -> bytes:
    """Write a grey TIFF, not compressed."""
    data = b"".join(rows)
    tags = [(256, 4, width), (257, 4, len(rows)), (258, 3, bits), (259, 3, 1),
            (262, 3, int(black_is_0)), (273, 4, 0), (274, 3, orientation), (277, 3, 1),
            (278, 4, len(rows)), (279, 4, len(data))]  # fmt: skip
    at = 8 + 2 + 12 * len(tags) + 4
    body = b"".join(
        struct.pack("<HHII", tag, kind, 1, at if tag == 273 else value) for tag, kind, value in tags
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4) + data


def pack_12_bits(one: int, two: int) -> bytes:
    """Pack two values into three bytes."""
    return bytes([one >> 4, (one & 15) << 4 | two >> 8, two & 255])


@pytest.mark.parametrize(
    ("bits", "black_is_0", "row"),
    [
        (8, False, bytes([255, 155, 0])),
        (12, True, pack_12_bits(0, 1606) + pack_12_bits(4095, 0)),  # 1606 / 4095 = 100 / 255
        (16, True, struct.pack("<3H", 0, 25700, 65535)),
        (16, False, struct.pack("<3H", 65535, 65535 - 25700, 0)),
    ],
)
def test_a_grey_tiff_has_the_same_grey_whatever_its_depth_and_where_its_white_is(
    tmp_path: Path, bits: int, black_is_0: bool, row: bytes
) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(3, [row], bits=bits, black_is_0=black_is_0))
    assert pixels(tmp_path / "a.tif") == [0, 100, 255]


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_grey_tiff_that_is_not_compressed_is_turned_and_not_sheared(
    tmp_path: Path, orientation: int
) -> None:
    samples = CORNERS.repeat(5, axis=0).repeat(8, axis=1)
    rows = [row.tobytes() for row in samples]
    (tmp_path / "a.tif").write_bytes(tiff(16, rows, bits=8, orientation=orientation))
    high, wide = (5, 8) if orientation < 5 else (8, 5)
    expected = np.array(UPRIGHT[orientation], np.uint8).repeat(high, axis=0).repeat(wide, axis=1)
    np.testing.assert_array_equal(np.asarray(read(tmp_path / "a.tif")), expected)


# --- JPEGs that lost a part inside ---------------------------------------------------------------


def without_a_third(whole: bytes, damage: str) -> bytes:
    """Damage the middle of a JPEG; its end stays intact."""
    third = len(whole) // 3
    return {
        "closed": whole[:third] + b"\xff\xd9",
        "zeros": whole[:third] + bytes(third) + whole[2 * third :],
        "gone": whole[:third] + whole[2 * third :],
        "zeros at the end": whole[: 2 * third] + bytes(len(whole) - 2 * third - 2) + whole[-2:],
    }[damage]


@pytest.mark.parametrize("damage", ["closed", "zeros", "gone", "zeros at the end"])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_blocks": 8}, {"mode": "L"}, {"mode": "CMYK"}],
    ids=str,
)
@pytest.mark.parametrize("needed_px", [1000, 20], ids=["whole", "smaller"])
def test_a_jpeg_that_lost_a_part_inside_is_refused_with_what_libjpeg_warns_of(
    tmp_path: Path, damage: str, options: dict[str, Any], needed_px: int
) -> None:
    path = tmp_path / "a.jpg"
    photo().convert(options.get("mode", "RGB")).save(
        path, quality=85, **{key: value for key, value in options.items() if key != "mode"}
    )
    assert read(path, needed_px=needed_px)
    path.write_bytes(without_a_third(path.read_bytes(), damage))
    with pytest.raises(UnreadableError, match=r"^damaged: (Corrupt JPEG data|Inconsistent prog)"):
        read(path, needed_px=needed_px)


@pytest.mark.parametrize("kind", ["pgm", "bmp", "tif"])
def test_a_file_is_not_mapped_into_memory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapped file that is cut while it is read would end the process with SIGBUS."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("mapped")

    path = tmp_path / f"image.{kind}"
    Image.new("L", (64, 64), 9).save(path)
    monkeypatch.setattr("mmap.mmap", refuse)
    if kind == "pgm":
        with Image.open(path) as image, pytest.raises(AssertionError, match="mapped"):
            image.load()  # what the reader has to avoid
    picture = read_image(path, needed_px=64, max_pixels=9999, background=(255, 255, 255))
    assert picture.getpixel((5, 5)) == 9


@pytest.mark.parametrize("behind", [bytes(1000), b"\xff\xd8\xff\xe0", b"SEFT", b"\xff" * 9, b"\n"])
def test_bytes_after_the_end_of_a_jpeg_are_no_damage(tmp_path: Path, behind: bytes) -> None:
    photo().save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(whole + behind)
    np.testing.assert_array_equal(read(tmp_path / "a.jpg"), read(tmp_path / "b.jpg"))


def test_an_odd_header_of_a_jpeg_is_no_damage(tmp_path: Path) -> None:
    photo().save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    padded = whole[:-2] + b"\xff" * 3 + whole[-2:]  # fill bytes, which the standard allows
    for place, odd in enumerate((whole.replace(b"JFIF\0\1", b"JFIF\0\3", 1), padded)):
        (tmp_path / f"{place}.jpg").write_bytes(odd)
        np.testing.assert_array_equal(read(tmp_path / "a.jpg"), read(tmp_path / f"{place}.jpg"))
