"""The pictures of README.md and docs/: pages of `belong`, as a browser shows them.

python -m tests.screenshot data/bundle data/raw/mnist data/raw/fashion-mnist docs

Digits and clothes, scored with the model of `dvc repro`, are gallery.png. The others show
docs/your-photos.md: a folder of clothes with planted faults, checked, cleaned, fitted and scored.
"""

import io
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from belong.commands.main import main
from belong.data.dataset import DataSet
from belong.data.idx import read
from belong.runtime.storage import whole_file
from tests import chromium

UPLOADS, OUT = Path("build/uploads"), Path("build/scored")
IMAGES = {"digits": 300, "clothes": 60}
COLORS = 128  # in a picture
CLOTHES = {"bag": 8, "boot": 9, "shirt": 0, "trousers": 1}  # folder -> class of Fashion-MNIST
OF_EACH, NEW, DIGITS = 300, 40, 12
SWAPPED = ("bag", "boot", 6)  # from, to, how many
WALK = Path("build/walk")


def save(images: DataSet, rows: np.ndarray, folder: Path) -> None:
    """Write images as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        Image.fromarray(images.images[row, 0]).save(folder / f"{row}.png")


def take(page_file: Path, picture: Path, *, height: int = 860, below: str = "") -> None:
    """Open the page, and save what is seen first, or from the element `below` on."""
    with (
        chromium.launched() as browser,
        chromium.opened(browser, page_file.resolve().as_uri()) as page,
    ):
        page.set_viewport_size({"width": 1280, "height": height})
        page.wait_for_timeout(1000)  # until the pictures are drawn
        if below:
            page.locator(below).first.evaluate("element => element.scrollIntoView()")
            page.wait_for_timeout(500)
        screenshot = Image.open(io.BytesIO(page.screenshot()))
    with whole_file(picture) as part:
        screenshot.convert("RGB").quantize(COLORS).save(part, format="PNG", optimize=True)


def run(*words: str | Path, codes: tuple[int, ...] = (0,)) -> None:
    """Run a command of `belong`."""
    if main([str(word) for word in words]) not in codes:
        raise SystemExit(1)


def wardrobe(digits: DataSet, clothes: DataSet) -> None:
    """Write the folders of docs/your-photos.md: `ours` with faults, and `new`."""
    shutil.rmtree(WALK, ignore_errors=True)
    for name, label in CLOTHES.items():
        rows = np.flatnonzero((clothes.labels == label) & clothes.is_test)
        save(clothes, rows[:OF_EACH], WALK / "ours" / name)
        save(clothes, rows[OF_EACH : OF_EACH + NEW], WALK / "new")
    source, to, count = SWAPPED
    for path in sorted((WALK / "ours" / source).iterdir())[:count]:
        path.rename(WALK / "ours" / to / path.name)
    shutil.copy(next((WALK / "ours" / "shirt").iterdir()), WALK / "ours" / "shirt" / "copy.png")
    (WALK / "ours" / "boot" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    save(digits, np.flatnonzero(digits.is_test)[:DIGITS], WALK / "new")
    sneakers = np.flatnonzero((clothes.labels == 7) & clothes.is_test)
    save(clothes, sneakers[:200], WALK / "other")


if __name__ == "__main__":
    model, docs = Path(sys.argv[1]), Path(sys.argv[4])
    digits, clothes = (read(Path(data)) for data in sys.argv[2:4])
    for name, data in (("digits", digits), ("clothes", clothes)):
        save(data, np.flatnonzero(data.is_test)[: IMAGES[name]], UPLOADS / name)
    run("score", UPLOADS, "--model", model, "-o", OUT, "--overwrite")
    take(OUT / "gallery.html", docs / "gallery.png", height=1250)

    wardrobe(digits, clothes)
    ours, cleaned, fitted = WALK / "ours", WALK / "clean", WALK / "model"
    run("check", ours, "-o", WALK / "check", codes=(0, 1))
    take(WALK / "check" / "findings.html", docs / "walk-check.png", height=640)
    run("clean", ours, "-o", cleaned, "--link")
    take(cleaned / "suspects.html", docs / "walk-clean.png", height=760)
    run("fit", cleaned / "cleaned", "-o", fitted, "--anomalies", WALK / "other")
    take(fitted / "report.html", docs / "walk-report.png", height=420)
    run("score", WALK / "new", "--model", fitted, "-o", WALK / "scored")
    take(WALK / "scored" / "gallery.html", docs / "walk-gallery.png", height=1250)
