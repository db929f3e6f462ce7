"""IDX files and folders of them, written byte by byte from the format's description."""

import gzip
import struct
from pathlib import Path

import numpy as np


def idx_bytes(values: np.ndarray) -> bytes:
    """Two zero bytes, the type (8), the number of axes; the sizes, big-endian; the values."""
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def some_images(n: int, height: int = 3, width: int = 2) -> np.ndarray:
    """Return (n, h, w) uint8, counting upwards, so that all images differ."""
    return np.arange(n * height * width).astype(np.uint8).reshape(n, height, width)


def write_folder(
    folder: Path,
    *,
    train_labels: list[int],
    test_labels: list[int],
    train_images: np.ndarray | None = None,
    test_images: np.ndarray | None = None,
    zipped: bool = False,
) -> Path:
    """Write the four files of a data set; by default the images count upwards."""
    folder.mkdir(exist_ok=True)
    for stem, images, labels in (
        ("train", train_images, train_labels),
        ("t10k", test_images, test_labels),
    ):
        pixels = some_images(len(labels)) if images is None else images
        for name, values in (
            (f"{stem}-images-idx3-ubyte", pixels),
            (f"{stem}-labels-idx1-ubyte", np.array(labels)),
        ):
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(values)))
            else:
                (folder / name).write_bytes(idx_bytes(values))
    return folder
