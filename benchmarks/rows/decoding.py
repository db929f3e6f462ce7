"""Decode a folder of JPEG photos into one array."""

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from belong.data.loader import look, pack
from belong.data.resize import Form
from benchmarks.agreement import pixels
from benchmarks.contract import Limit, Peer, Race, Setting
from benchmarks.photos import decode_all, photo_folder
from benchmarks.timing import seconds_of

SIDE_PX = 224
# Resizers differ in rounding, and in where they cut half a pixel.
LEVELS = 2.0


def photos(setting: Setting) -> Race:
    """Decode, resize and pack photos of 500 x 375 pixels, the mean size in ImageNet."""
    n = setting.size(600, 12)
    folder = photo_folder(setting.folder / f"photos-{n}", n)
    files = sorted(folder.glob("*/*.jpg"))

    def ours(_: int) -> np.ndarray:
        form = Form(SIDE_PX, SIDE_PX, "rgb")
        packed = pack(look(folder), form, background=(255, 255, 255), max_pixels=50_000_000)
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
        images = []
        for file in files:
            with Image.open(file) as image:
                images.append(np.asarray(ImageOps.fit(image.convert("RGB"), (SIDE_PX, SIDE_PX))))
        return np.stack(images).transpose(0, 3, 1, 2)

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
        sample=lambda images: images[:: max(1, n // 50)].copy(),
    )
