"""Skipped files are listed with a reason; the kind of a file is read from its content."""

import io
import os
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from PIL import Image

from belong.data.decode_pool import Decoder, Picture
from belong.data.file_discovery import below
from belong.data.image_folder import list_images
from belong.data.image_kinds import DRAWINGS, NOT_READ, RAW, is_image, kind_of
from belong.data.resize import Form

DECODER = Decoder(Form(8, 8, "rgb"), (255, 255, 255), 10**6)


def content(kind: str) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    "name",
    ["photo.mpo", "photo.jif", "photo.jfi", "photo.dib", "photo.hif", "photo.crw", "photo.psd",
     "photo.tga", "photo.pdf", "photo", "photo.dat", "photo.jpg_original", "photo.txt"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "PPM"])
def test_an_image_is_scored_by_its_content_whatever_its_name(
    tmp_path: Path, name: str, kind: str
) -> None:
    (tmp_path / name).write_bytes(content(kind))
    assert below(tmp_path).files == [name]
    if kind in ("TIFF", "PPM") and name.endswith((".crw", ".psd", ".tga")):
        return  # a raw photo may be a TIFF
    assert isinstance(DECODER.decode(tmp_path / name), Picture)


def tiff_of_a_raw_photo() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((8, 8), np.uint16), photometric="cfa")
    return file.getvalue()


OTHERS = {
    "jp2": content("JPEG2000"), "tga": content("TGA"), "ico": content("ICO"),
    "pcx": content("PCX"), "icns": content("ICNS"), "dds": content("DDS"), "sgi": content("SGI"),
    "pdf": content("PDF"), "eps": content("EPS"), "psd": b"8BPS\0\1" + bytes(40),
    "exr": b"\x76\x2f\x31\x01" + bytes(40), "hdr": b"#?RADIANCE\n", "jxl": b"\xff\x0a" + bytes(9),
    "svg": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "cr3": b"\0\0\0\x18ftypcrx \0\0\0\1",
    "raf": b"FUJIFILMCCD-RAW 0201", "x3f": b"FOVb" + bytes(40), "rw2": b"IIU\0" + bytes(40),
    "orf": b"IIRO\x08\0\0\0" + bytes(40), "dng": tiff_of_a_raw_photo(),
    "dcm": bytes(128) + b"DICM", "xcf": b"gimp xcf v011\0", "qoi": b"qoif" + bytes(20),
}  # fmt: skip


@pytest.mark.parametrize("end", OTHERS)
@pytest.mark.parametrize("is_named", [True, False])
def test_an_image_of_a_kind_that_is_not_read_is_listed_with_the_reason(
    tmp_path: Path, end: str, is_named: bool
) -> None:
    name = f"photo.{end}" if is_named else "photo.dat"
    (tmp_path / name).write_bytes(OTHERS[end])
    if end == "tga" and not is_named:
        return  # nothing in it identifies it
    assert below(tmp_path).files == [name]
    assert "not supported; save" in str(DECODER.decode(tmp_path / name))


@pytest.mark.parametrize("end", sorted(RAW))
def test_a_jpeg_under_the_name_of_a_raw_photo_is_scored(tmp_path: Path, end: str) -> None:
    file = tmp_path / f"photo{end.upper()}"
    file.write_bytes(content("JPEG"))
    assert below(tmp_path).files == [file.name]
    decoded = DECODER.decode(file)
    assert isinstance(decoded, Picture)
    file.with_suffix(".jpg").write_bytes(content("JPEG"))
    expected = DECODER.decode(file.with_suffix(".jpg"))
    assert isinstance(expected, Picture)
    np.testing.assert_array_equal(decoded.pixels, expected.pixels)


PREVIEW, SENSOR = np.full((12, 16, 3), 200, np.uint8), np.zeros((96, 128), np.uint16)


def tiff_of_pages(*pages: dict[str, Any], order: Literal["<", ">"] = "<") -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=order) as writer:
        for page in pages:
            writer.write(**page)
    return file.getvalue()


def dng(**more: Any) -> bytes:
    version = (50706, "B", 4, (1, 4, 0, 0), True)
    return tiff_of_pages({"data": PREVIEW, "photometric": "rgb", "extratags": [version], **more})


RAW_TIFFS = {
    # A small picture first; the JPEG of the camera, and what its sensor saw, below it.
    "nef": tiff_of_pages(
        {"data": PREVIEW, "photometric": "rgb", "subfiletype": 1, "subifds": 2},
        {"data": np.zeros((48, 64, 3), np.uint8), "photometric": "rgb", "subfiletype": 1},
        {"data": SENSOR, "photometric": "cfa"},
    ),
    "nef, big-endian": tiff_of_pages(
        {"data": PREVIEW, "photometric": "rgb", "subfiletype": 1, "subifds": 1},
        {"data": SENSOR, "photometric": "cfa"},
        order=">",
    ),
    # A picture that is not said to be a small one.
    "arw": tiff_of_pages(
        {"data": PREVIEW, "photometric": "rgb", "subifds": 1},
        {"data": SENSOR[:6, :8], "photometric": "cfa"},
    ),
    "dng": dng(),
    "dng, linear": dng(photometric="linear_raw"),
    "pef": tiff_of_pages({"data": SENSOR, "photometric": "cfa"}),
    # The sensor's page follows the picture, instead of lying below it.
    "mos": tiff_of_pages(
        {"data": PREVIEW, "photometric": "rgb"}, {"data": SENSOR, "photometric": "cfa"}
    ),
    "cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(40),
    "iiq": b"II*\0\0\1\0\0IIII\1waR" + bytes(300),
    "iiq, big-endian": b"MM\0*\0\0\1\0MMMMRaw\1" + bytes(300),
    "orf": b"IIRS\x08\0\0\0" + bytes(40),
    "rw2": b"IIU\0\x18\0\0\0" + bytes(40),
}


@pytest.mark.parametrize("kind", RAW_TIFFS)
@pytest.mark.parametrize("end", [".tif", ".nef", ".dng", ".jpg", ".dat", ""])
def test_a_raw_photo_under_any_name_is_listed_as_one(tmp_path: Path, kind: str, end: str) -> None:
    file = tmp_path / f"photo{end}"
    file.write_bytes(RAW_TIFFS[kind])
    assert below(tmp_path).files == [file.name]
    reason = DECODER.decode(file)
    assert isinstance(reason, str)
    assert reason.endswith("as JPEG or PNG")
    assert "raw photo" in reason or reason.startswith(f"{end} files are not supported")


@pytest.mark.parametrize("value", [b"CRCRCRCRCRCRCRCR", b"IIIIIIIIIIIIIIII", b"MMMMMMMMMMMMMMMM"])
def test_a_tiff_whose_pixels_come_first_is_no_raw_photo(tmp_path: Path, value: bytes) -> None:
    """As libtiff writes it: the pixels, which may have any value, and then the tags."""
    tags = [
        (256, 4),
        (257, 4),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 4),
        (279, 16),
    ]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in tags)
    directory = struct.pack("<H", len(tags)) + body + bytes(4)
    file = tmp_path / "flat.tif"
    file.write_bytes(b"II*\0" + struct.pack("<I", 24) + value + directory)
    decoded = DECODER.decode(file)
    assert isinstance(decoded, Picture)
    assert set(np.unique(decoded.pixels)) <= set(range(min(value) - 9, max(value) + 10))


@pytest.mark.parametrize("end", sorted(NOT_READ | DRAWINGS))
def test_every_name_of_an_image_that_is_not_read_is_listed(tmp_path: Path, end: str) -> None:
    (tmp_path / f"a{end}").write_bytes(b"\1\2\3\4")
    assert below(tmp_path).files == [f"a{end}"]
    assert (
        DECODER.decode(tmp_path / f"a{end}")
        == f"{end} files are not supported; save the image as JPEG or PNG"
    )


@pytest.mark.parametrize(
    "start",
    [b"", b"P", b"P1 is the first page", b"hello", b"\0" * 99, b"BMW", b"PK\3\4", b"%PNG",
     b"\x93NUMPY\1\0", b"<?xml version='1.0'?><annotation/>", b"{}", b"RIFF\0\0\0\0WAVE",
     b"\0\0\0\x18ftypmp42"],
)  # fmt: skip
def test_a_file_that_is_no_image_is_not_read_as_one(start: bytes) -> None:
    assert kind_of(start) == ""


def test_a_training_reads_images_by_content_and_passes_drawings_over(tmp_path: Path) -> None:
    for name, kind in (("ant/1", "JPEG"), ("ant/2.bin", "PNG"), ("bee/3.jpg", "JPEG")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content(kind))
    (tmp_path / "ant/plan.svg").write_bytes(OTHERS["svg"])
    (tmp_path / "ant/notes").write_bytes(b"three ants")
    listing = list_images(tmp_path)
    assert [str(file) for file in listing.files] == ["ant/1", "ant/2.bin", "bee/3.jpg"]
    reason = "not an image, by its name and content"
    assert listing.ignored == [(Path("ant/notes"), reason), (Path("ant/plan.svg"), reason)]


def test_a_pipe_without_the_name_of_an_image_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_image(tmp_path / "pipe")
