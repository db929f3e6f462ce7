"""A typical upload: bad files are listed with their reason, the others are scored."""

import csv
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from belong.data.idx import read
from tests.imports import ROOT
from tests.privileges import as_any_user, with_own_disks
from tests.untrained_bundle import save_untrained

PLAIN = "plain.png"
# The same picture, saved in other ways and under other names.
ALIKE = (
    "<b onclick=alert(1)>.png", "a/b/c/d/deep.png", "alpha.png", "caf\\xe9.png", "moves.gif",
    "printed.tif", "really a png.jpg", "sixteen bits.png", "turned.png",
)  # fmt: skip
# Other files of the folder, and the beginning of their reason.
UNREADABLE = {
    "bomb.png": "too large: at most 0.001 megapixels are allowed",
    "circle.png": "a broken link",
    "cut.png": "cut off: ",
    "drawing.svg": ".svg files are not supported; save the image as JPEG or PNG",
    "empty.png": "empty: 0 bytes",
    "hundred megapixels.png": "10000 x 10000 is 100.0 megapixels; at most 0.001 are allowed",
    "nothing.png": "a broken link",
    "paper.pdf": ".pdf files are not supported; save the image as JPEG or PNG",
    "phone.heic": "not an image, or not in a supported format",
    "pipe.png": "not a regular file",
    "shut.png": "Permission denied",
    "spoiled.png": "damaged: ",
    "words.png": "not an image, or not in a supported format",
    "shut": "Permission denied",
}


def upload(folder: Path) -> None:
    """Write all of them."""
    picture = Image.fromarray(read(ROOT / "tests" / "data" / "mnist-small").images[0, 0])
    (folder / "a/b/c/d").mkdir(parents=True)
    for name in (PLAIN, *ALIKE[:2], os.fsdecode(b"caf\xe9.png"), "shut.png"):
        picture.save(folder / name)
    transparent = picture.convert("LA")
    transparent.save(folder / "alpha.png")
    frames = [picture.rotate(180), Image.new("L", picture.size)]
    picture.save(folder / "moves.gif", save_all=True, append_images=frames)
    picture.convert("CMYK").save(folder / "printed.tif")
    picture.save(folder / "really a png.jpg", format="PNG")
    Image.fromarray(np.asarray(picture).astype(np.uint16) * 257).save(folder / "sixteen bits.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned to its right
    picture.rotate(90).save(folder / "turned.png", exif=exif)

    whole = (folder / PLAIN).read_bytes()
    middle = len(whole) // 2
    (folder / "cut.png").write_bytes(whole[:middle])
    (folder / "spoiled.png").write_bytes(whole[:middle] + b"\xff" * 9 + whole[middle + 9 :])
    (folder / "bomb.png").write_bytes(header_of_a_png(60_000))
    (folder / "hundred megapixels.png").write_bytes(header_of_a_png(10_000))
    (folder / "empty.png").touch()
    for name in ("drawing.svg", "paper.pdf", "phone.heic", "words.png"):
        (folder / name).write_text("not pixels")
    os.mkfifo(folder / "pipe.png")
    (folder / "circle.png").symlink_to("circle.png")
    (folder / "nothing.png").symlink_to("nowhere")
    (folder / "around").symlink_to(folder)
    (folder / "no images").mkdir()
    (folder / "shut").mkdir()
    for name in ("shut", "shut.png"):
        (folder / name).chmod(0)


def header_of_a_png(side_px: int) -> bytes:
    """Return a PNG that claims to be so large, and has no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        sizes = struct.pack(">I", len(content)), struct.pack(">I", zlib.crc32(kind + content))
        return sizes[0] + kind + content + sizes[1]

    header = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    save_untrained(folder)
    return folder


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("uploads")
    upload(folder)
    yield folder
    (folder / "shut").chmod(0o700)  # so that it can be removed


def scoring(images: Path, model: Path, out: Path) -> list[str]:
    """Return the words of the command; in batches of two."""
    words = ["--model", str(model), "-o", str(out), "--batch-size", "2", "--device", "cpu"]
    return [sys.executable, "-m", "belong", "score", str(images), *words]


def run_command(words: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def results(uploads: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scored") / "out"
    process = run_command([*as_any_user(), *scoring(uploads, model, out)])
    assert (process.returncode, process.stderr) == (0, "")
    return out


def rows_in(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def test_every_file_is_either_scored_or_listed_with_its_reason(results: Path) -> None:
    assert set(rows_in(results / "predictions.csv")) == {PLAIN, *ALIKE}
    assert set(rows_in(results / "unreadable.csv")) == set(UNREADABLE)


@pytest.mark.parametrize("name", UNREADABLE)
def test_the_reason_is_the_one_that_holds(results: Path, name: str) -> None:
    assert rows_in(results / "unreadable.csv")[name]["reason"].startswith(UNREADABLE[name])


@pytest.mark.parametrize("name", ALIKE)
def test_a_picture_has_the_same_score_however_it_was_saved(results: Path, name: str) -> None:
    rows = rows_in(results / "predictions.csv")
    assert float(rows[name]["score"]) == pytest.approx(float(rows[PLAIN]["score"]), rel=1e-4)
    assert rows[name]["class"] == rows[PLAIN]["class"]


def test_that_only_the_first_frame_was_seen_is_said_of_an_animation_and_of_no_other(
    results: Path,
) -> None:
    rows = rows_in(results / "predictions.csv")
    assert [path for path, row in rows.items() if "frames" in row["reason"]] == ["moves.gif"]
    assert rows["moves.gif"]["reason"].endswith("; the first of 3 frames")


def test_a_name_with_markup_is_no_markup_in_the_gallery(results: Path) -> None:
    page = (results / "gallery.html").read_text(encoding="utf-8")
    assert "onclick=alert(1)" in page
    assert "<b onclick" not in page


def test_a_folder_that_may_not_be_written_to_is_one_line_at_once(
    uploads: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    process = run_command([*as_any_user(), *scoring(uploads / "a", model, out)])
    message = f"belong score: {out}/.predictions.csv.lock: Permission denied\n"
    assert (process.returncode, process.stderr) == (2, message)


FULL = """
mount -t tmpfs -o size=16k full "$0" || exit 99
"$@"
echo $?
ls -A "$0/out"
mount -o remount,size=32m "$0"
"$@" > /dev/null
echo $?
cat "$0/out/predictions.csv"
"""


def test_a_full_disk_is_one_line_and_with_room_the_same_command_ends_as_if_it_had_not_been(
    results: Path, uploads: Path, model: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    words = [*as_any_user(), *scoring(uploads, model, disk / "out")]
    process = run_command([*with_own_disks(), "sh", "-c", FULL, str(disk), *words])
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"belong score: {disk}/out/.unfinished/")
    assert line.endswith(".json: No space left on device")
    whole = (results / "predictions.csv").read_text(encoding="utf-8")
    assert process.stdout == f"2\n.unfinished\n0\n{whole}"


@pytest.mark.parametrize("command", ["check", "fit"])
def test_a_class_that_may_not_be_read_stops_a_training_in_one_line(
    uploads: Path, tmp_path: Path, command: str
) -> None:
    more = ["-o", str(tmp_path / "model")] if command == "fit" else []
    words = [sys.executable, "-m", "belong", command, str(uploads), *more]
    process = run_command([*as_any_user(), *words])
    message = f"belong {command}: {uploads}/shut: Permission denied\n"
    assert (process.returncode, process.stderr) == (2, message)


def test_a_check_names_each_bad_file_as_scoring_does(uploads: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "bee").mkdir(parents=True)
    (photos / "bee" / PLAIN).write_bytes((uploads / PLAIN).read_bytes())
    (photos / "ant").mkdir()
    for path in uploads.iterdir():
        if path.name not in ("shut", "around"):  # which stop it
            (photos / "ant" / path.name).symlink_to(path)
    words = [sys.executable, "-m", "belong", "check", str(photos), "-o", str(tmp_path / "out")]
    assert run_command([*as_any_user(), *words]).returncode == 1
    findings = rows_in(tmp_path / "out" / "findings.csv")
    for name in set(UNREADABLE) - {"bomb.png", "hundred megapixels.png", "shut"}:
        row = findings[f"ant/{name}"]
        if name.endswith((".svg", ".pdf")):
            assert (row["finding"], row["detail"]) == (
                "ignored",
                "not an image, by its name and content",
            )
        else:
            assert row["finding"] == "unreadable"
            assert row["detail"].startswith(UNREADABLE[name])
