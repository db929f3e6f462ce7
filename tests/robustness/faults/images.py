"""Uploads: files that are no whole image, or odd ones, and names that nobody would choose."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.robustness.faults.fault import INPUT, OUTPUT, Fault

READ, UNREAD = f"{OUTPUT}/predictions.csv", f"{OUTPUT}/unreadable.csv"
MOST_LINKS = 50_000  # to one file, of some file systems


def score(folder: Path, model: Path, *more: str) -> list[str]:
    """Return the words that score the person's folder."""
    words = ["belong", "score", f"{folder / INPUT}", "--model", f"{model}", "--jobs", "1"]
    return [*words, "-o", f"{folder / OUTPUT}", *more]


def noise(mode: str = "RGB") -> Image.Image:
    """Return a small image of this mode."""
    values = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    return Image.fromarray(values).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _beside_a_good_one(name: bytes, content: bytes) -> Callable[[Path, Path], list[str]]:
    def spoil(folder: Path, model: Path) -> list[str]:
        (folder / INPUT / "good.png").write_bytes(encoded(noise(), "PNG"))
        (folder / INPUT / os.fsdecode(name)).write_bytes(content)
        return score(folder, model, "--no-gallery")

    return spoil


def _png_that_claims(width: int, height: int) -> bytes:
    """Return a PNG with a header of this size, and one row of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(100))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def _turned() -> bytes:
    notes = Image.Exif()
    notes[0x0112] = 6
    return encoded(noise(), "JPEG", exif=notes)


PNG = encoded(noise(), "PNG")
JPEG = encoded(noise(), "JPEG")
MIDDLE = len(PNG) // 2
DEEP = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(40, 30) * 50)

BAD = {
    "image of 0 bytes": ("bad.png", b"", "empty: 0 bytes"),
    "text named .jpg": ("bad.jpg", b"hello", "not an image, or not in a supported format"),
    "PNG cut off": ("bad.png", PNG[:MIDDLE], "cut off: "),
    "JPEG cut off": ("bad.jpg", JPEG[: len(JPEG) // 2], "cut off: "),
    "PNG corrupt in the middle": (
        "bad.png", PNG[:MIDDLE] + b"\0" * 9 + PNG[MIDDLE + 9 :], "damaged: "
    ),
    "header of 1.5e8 pixels": ("bad.png", _png_that_claims(15_000, 10_000), "150.0 megapixels"),
    "header of 4e8 pixels": ("bad.png", _png_that_claims(20_000, 20_000), "too large: "),
    "image of width 0": ("bad.png", _png_that_claims(0, 10), "damaged: the header of the PNG"),
    "HEIC cut off": ("bad.heic", b"\0\0\0\x18ftypheic", "damaged: "),
    "SVG": ("bad.svg", b"<svg/>", ".svg files are not supported; save the image as JPEG or PNG"),
}  # fmt: skip
ODD = {
    "16-bit image": ("odd.png", encoded(DEEP, "PNG")),
    "CMYK image": ("odd.jpg", encoded(noise("CMYK"), "JPEG")),
    "palette with transparency": ("odd.png", encoded(noise("P"), "PNG", transparency=3)),
    "animated image": (
        "odd.gif", encoded(noise(), "GIF", save_all=True, append_images=[noise("L")])
    ),
    "image turned by its EXIF": ("odd.jpg", _turned()),
}  # fmt: skip
NAMES = {
    "name with a new line": (b"a\nb.png", '"a b.png"'),
    "name with a comma": (b"a,b.png", '"a,b.png"'),
    "name with a quote": (b'a"b.png', '"a""b.png"'),
    "name that is not UTF-8": (b"caf\xe9.png", "caf\\xe9.png"),
    "name with markup": (b"<script>x.png", "<script>x.png"),
}


def _markup_in_the_gallery(folder: Path, model: Path) -> list[str]:
    (folder / INPUT / "<script>alert(1)").mkdir()
    (folder / INPUT / "<script>alert(1)" / "a.png").write_bytes(PNG)
    return score(folder, model)


def _missing(folder: Path, model: Path) -> list[str]:
    (folder / INPUT).rmdir()
    return score(folder, model)


def _hidden(folder: Path, model: Path) -> list[str]:
    (folder / INPUT / ".thumbnails").mkdir()
    (folder / INPUT / ".thumbnails" / "a.png").write_bytes(PNG)
    return score(folder, model)


def _circle(folder: Path, model: Path) -> list[str]:
    (folder / INPUT / "a.png").write_bytes(PNG)
    (folder / INPUT / "again").symlink_to("..")
    (folder / INPUT / "round.png").symlink_to("round.png")
    return score(folder, model, "--no-gallery")


def _foreign(folder: Path, model: Path) -> list[str]:
    (folder / INPUT / "a.png").write_bytes(PNG)
    for name in ("notes.txt", "Thumbs.db"):
        (folder / INPUT / name).write_bytes(b"no image")
    return score(folder, model, "--no-gallery")


def _many(folder: Path, model: Path, *, files: int) -> list[str]:
    """Write one image, and names of empty files without number."""
    (folder / INPUT / "a.png").write_bytes(PNG)
    for at in range(files - 1):
        first = folder / INPUT / f"{at - at % MOST_LINKS:06}.png"
        if at % MOST_LINKS == 0:
            first.touch()
        else:
            (folder / INPUT / f"{at:06}.png").hardlink_to(first)
    return score(folder, model, "--no-gallery")


def _there_already(folder: Path, model: Path) -> list[str]:
    (folder / INPUT / "a.png").write_bytes(PNG)
    (folder / OUTPUT).mkdir()
    (folder / OUTPUT / "predictions.csv").write_text("mine")
    return score(folder, model)


def _a_file_in_the_way(folder: Path, model: Path) -> list[str]:
    (folder / INPUT / "a.png").write_bytes(PNG)
    (folder / OUTPUT).write_text("mine")
    return score(folder, model)


FAULTS = [
    *(
        Fault(name, _beside_a_good_one(file.encode(), content), says, where=UNREAD)
        for name, (file, content, says) in BAD.items()
    ),
    *(
        Fault(name, _beside_a_good_one(file.encode(), content), f"{file},", where=READ)
        for name, (file, content) in ODD.items()
    ),
    *(
        Fault(name, _beside_a_good_one(file, PNG), says, where=READ)
        for name, (file, says) in NAMES.items()
    ),
    Fault(
        "folder with markup, in the page", _markup_in_the_gallery,
        "\\u003cscript\\u003ealert(1)/a.png", where=f"{OUTPUT}/gallery.html",
    ),
    Fault("folder that is missing", _missing, "input: no such file or folder", 2),
    Fault("folder that is empty", score, "expected images, got none (0", 2),
    Fault("folder with hidden files only", _hidden, "expected images, got none (1", 2),
    Fault("links in a circle", _circle, "round.png,a broken link", where=UNREAD),
    Fault("foreign files", _foreign, '"ignored": 2', where=f"{OUTPUT}/summary.json"),
    Fault(
        "folder of 100,000 files", partial(_many, files=100_000), "1 image, 99,999 cannot be read"
    ),
    Fault("results of another run in the way", _there_already, "has the predictions.csv of", 2),
    Fault("a file in the place of the results", _a_file_in_the_way, "output: File exists", 2),
]  # fmt: skip
