"""Folders of different image files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def write_images(folder: Path, *names: str, side_px: int = 12, grey: bool = False) -> Path:
    """Write noise under each name, `<class>/<name>.png` for example, drawn from the name itself."""
    for name in names:
        rng = np.random.default_rng(list(name.encode()))
        shape = (side_px, side_px) if grey else (side_px, side_px, 3)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / name)
    return folder


def write_colored(folder: Path, names: Sequence[str], rgb: Sequence[int], *, side_px: int) -> None:
    """Write noise around one color under each name, so that a network can learn the classes."""
    for name in names:
        rng = np.random.default_rng(list(name.encode()))
        pixels = np.asarray(rgb) + rng.integers(0, 70, (side_px, side_px, 3))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
