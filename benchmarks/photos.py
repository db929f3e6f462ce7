"""Create the photos of the benchmarks, and measure the time of decoding them."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 4


def decode_all(files: list[Path], threads: int, *, least_px: int | None = None) -> None:
    """Decode the files and keep none.

    Args:
        files: the images.
        threads: that decode.
        least_px: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its sides stay as long as
            this; at its full size if None.
    """
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(partial(_decode, least_px), files, chunksize=8):
            pass


def _decode(least_px: int | None, file: Path) -> None:
    with Image.open(file) as image:
        if least_px is not None:
            image.draft(None, (least_px, least_px))
        image.load()


def photo_folder(folder: Path, n: int, *, width: int = 500) -> Path:
    """Draw n photos in class folders, as full of detail as a landscape; they are drawn once.

    The classes differ in their brightness: a model of images that cannot be told apart is refused.
    """
    height = width * 3 // 4
    rng = np.random.default_rng(0)
    for number in range(n):
        file = folder / f"class-{number % CLASSES}" / f"{number:05}.jpg"
        darkest = 32 * (number % CLASSES)
        coarse = Image.fromarray(rng.integers(darkest, darkest + 160, (9, 12, 3), np.uint8))
        fine = rng.normal(0, 12, (height, width, 1))
        if file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        whole = (smooth + fine).clip(0, 255).astype(np.uint8)
        Image.fromarray(whole).save(file, quality=90)
    return folder
