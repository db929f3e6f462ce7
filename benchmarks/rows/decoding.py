"""A folder of JPEG photos becomes one array."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from belong.forms import Form
from belong.packing import look, pack
from benchmarks.agreement import pixels
from benchmarks.contract import Limit, Peer, Race, Setting
from benchmarks.timing import seconds_of

SIDE_PX = 224
CLASSES = 4
# Resizers differ in rounding, and in where they cut half a pixel.
LEVELS = 2.0


def photos(setting: Setting) -> Race:
    """Decode, resize and pack photos of 500 x 375 pixels, the mean size in ImageNet."""
    n = setting.size(600, 12)
    folder = photo_folder(setting.folder / f"photos-{n}", n)
    files = sorted(folder.glob("*/*.jpg"))

    def ours(_: int) -> np.ndarray:
        form = Form(SIDE_PX, SIDE_PX, "rgb")
        packed = pack(look(folder), form, background=(255, 255, 255), most_pixels=50_000_000)
        return packed.data.images

    def torchvision(_: int) -> np.ndarray:
        transform = transforms.Compose(
            [
                transforms.Resize(SIDE_PX, transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(SIDE_PX),
                transforms.PILToTensor(),
            ]
        )
        images = datasets.ImageFolder(str(folder), transform)
        loader = DataLoader(images, batch_size=64, num_workers=setting.threads)
        return torch.cat([batch for batch, _ in loader]).numpy()

    def pillow(_: int) -> np.ndarray:
        made = []
        for file in files:
            with Image.open(file) as image:
                made.append(np.asarray(ImageOps.fit(image.convert("RGB"), (SIDE_PX, SIDE_PX))))
        return np.stack(made).transpose(0, 3, 1, 2)

    return Race(
        what=f"decode, resize and pack {n:,} JPEG photos, 500 x 375 to {SIDE_PX} px",
        ours=ours,
        peers={
            "torchvision and DataLoader": Peer(torchvision, pixels(LEVELS)),
            "Pillow loop": Peer(pillow, pixels(LEVELS)),
        },
        limit=Limit(
            f"decoding alone, Pillow on {setting.threads} threads",
            lambda: seconds_of(lambda: decode_all(files, setting.threads)),
        ),
        kept=lambda images: images[:: max(1, n // 50)].copy(),
    )


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
    """Draw n photos in class folders, as full of detail as a landscape; they are drawn once."""
    height = width * 3 // 4
    rng = np.random.default_rng(0)
    for number in range(n):
        file = folder / f"class-{number % CLASSES}" / f"{number:05}.jpg"
        coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
        fine = rng.normal(0, 12, (height, width, 1))
        if file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        whole = (smooth + fine).clip(0, 255).astype(np.uint8)
        Image.fromarray(whole).save(file, quality=90)
    return folder
