"""The README's picture of a gallery: digits and clothes, scored with the model of `dvc repro`.

python -m tests.screenshot data/bundle data/raw/mnist data/raw/fashion-mnist docs/gallery.png
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from belong.commands.main import main
from belong.data.idx import read
from belong.runtime.storage import whole_file
from tests import chromium

UPLOADS, OUT = Path("build/uploads"), Path("build/scored")
IMAGES = {"digits": 300, "clothes": 60}
COLORS = 128  # in the picture


def upload(data: Path, folder: Path, count: int) -> None:
    """Write the first test images as PNG files."""
    images = read(data)
    folder.mkdir(parents=True, exist_ok=True)
    for row in np.flatnonzero(images.is_test)[:count]:
        Image.fromarray(images.images[row, 0]).save(folder / f"{row}.png")


def take(page_file: Path, picture: Path) -> None:
    """Open the page, and save what is seen first."""
    with (
        chromium.launched() as browser,
        chromium.opened(browser, page_file.resolve().as_uri()) as page,
    ):
        page.set_viewport_size({"width": 1280, "height": 860})
        page.wait_for_timeout(1000)  # until the pictures are drawn
        seen = Image.open(io.BytesIO(page.screenshot()))
    with whole_file(picture) as part:
        seen.convert("RGB").quantize(COLORS).save(part, format="PNG", optimize=True)


if __name__ == "__main__":
    model, digits, clothes, picture = sys.argv[1:]
    for name, data in (("digits", digits), ("clothes", clothes)):
        upload(Path(data), UPLOADS / name, IMAGES[name])
    words = ["score", str(UPLOADS), "--model", model, "-o", str(OUT), "--overwrite"]
    if main(words) == 0:
        take(OUT / "gallery.html", Path(picture))
