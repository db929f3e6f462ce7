"""Read a folder with the four IDX files of MNIST and its relatives, gzipped or not."""

from pathlib import Path

import numpy as np

from belong.datasets import DataSet
from belong.errors import InputError
from belong.idx import read_idx

STEMS = {"train": "train", "test": "t10k"}
KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def is_idx_folder(path: Path) -> bool:
    """Return whether any of the four files is there; then the others are missed."""
    names = (f"{stem}-{kind}" for stem in STEMS.values() for kind in KINDS)
    return any(_plain_or_gzipped(path / name).exists() for name in names)


def read(path: Path) -> DataSet:
    """Read the data set in the folder `path`.

    Raises:
        InputError: one of the four files is missing or damaged, or they contradict each other.
    """
    parts = {part: _read_idx_pair(path, stem) for part, stem in STEMS.items()}
    _same_size(path, parts["train"][0], parts["test"][0])
    labels = np.concatenate([labels for _, labels in parts.values()]).astype(np.int64)
    classes = _count_classes(path, parts["train"][1], parts["test"][1])
    counts = [len(labels) for _, labels in parts.values()]
    return DataSet(
        images=np.concatenate([images for images, _ in parts.values()])[:, None],
        labels=labels,
        class_names=tuple(str(number) for number in range(classes)),
        is_test=np.repeat([False, True], counts),
        sources=np.concatenate(
            [
                np.char.add(f"{stem}-images-idx3-ubyte/", np.arange(count).astype(str))
                for stem, count in zip(STEMS.values(), counts, strict=True)
            ]
        ),
    )


def _read_idx_pair(folder: Path, stem: str) -> tuple[np.ndarray, np.ndarray]:
    image_path = _plain_or_gzipped(folder / f"{stem}-images-idx3-ubyte")
    label_path = _plain_or_gzipped(folder / f"{stem}-labels-idx1-ubyte")
    images, labels = read_idx(image_path, axes=3), read_idx(label_path, axes=1)
    if len(images) != len(labels):
        raise InputError(
            f"{folder}: {image_path.name} has {len(images)} images but {label_path.name} has "
            f"{len(labels)} labels"
        )
    return images, labels


def _plain_or_gzipped(path: Path) -> Path:
    gzipped = path.with_name(path.name + ".gz")
    return gzipped if gzipped.exists() and not path.exists() else path


def _same_size(folder: Path, train: np.ndarray, test: np.ndarray) -> None:
    if train.shape[1:] != test.shape[1:]:
        train_size, test_size = ("x".join(map(str, x.shape[1:])) for x in (train, test))
        raise InputError(
            f"{folder}: the training images have {train_size} pixels, the test images {test_size}"
        )


def _count_classes(folder: Path, train: np.ndarray, test: np.ndarray) -> int:
    """Return c, given that the training labels are 0..c-1 without a gap."""
    counts = np.bincount(train)
    classes = len(counts)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        raise InputError(
            f"{folder}: the training labels run up to {classes - 1}, but class {empty[0]} has no "
            f"image; wanted labels 0..c-1 without a gap"
        )
    if test.max() >= classes:
        row = int(np.argmax(test >= classes))
        raise InputError(
            f"{folder}: test label {test[row]} (image {row}) in a data set of {classes} classes "
            f"(0..{classes - 1})"
        )
    return classes
