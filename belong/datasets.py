"""A data set is a folder: its images as one tensor, with labels and class names.

Known form: the four IDX files of MNIST and its relatives, gzipped or not.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from belong.errors import InputError
from belong.idx import read_idx

IDX_STEMS = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class DataSet:
    """Labelled images.

    Attributes:
        images: (n, ch, h, w) uint8.
        labels: (n,) int64, 0..c-1.
        class_names: the c names, in the order of the labels.
        is_test: (n,) bool, the official test images.
        sources: (n,) str, the file (and the place in it) that each image came from.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    is_test: np.ndarray
    sources: np.ndarray


def read(path: Path) -> DataSet:
    """Read the data set in the folder `path`.

    Raises:
        InputError: no such folder, not a known form, or a damaged file in it.
    """
    if not path.exists():
        raise InputError(f"{path}: no such folder")
    if not path.is_dir():
        raise InputError(f"{path}: wanted a folder with IDX files, got a file")
    parts = {part: _read_idx_pair(path, stem) for part, stem in IDX_STEMS.items()}
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
                for stem, count in zip(IDX_STEMS.values(), counts, strict=True)
            ]
        ),
    )


def chosen(data: DataSet, classes: str | int | Sequence[str | int], path: Path) -> DataSet:
    """Keep the images of some classes, numbered anew from 0 in the order of the data set.

    Args:
        data: the data set.
        classes: "all", "none", a class, a list of classes, or a range of positions such as "0-9"
            (both ends included). A class is given by its name, or else by its position.
        path: where the data set came from, for the message.

    Raises:
        InputError: a class that the data set has not, one named twice, or an empty list.
    """
    return _kept(data, sorted(_positions(classes, list(data.class_names), path)))


def without(data: DataSet, names: Collection[str]) -> DataSet:
    """Keep the images of all classes but those called `names`, numbered anew from 0."""
    classes = enumerate(data.class_names)
    return _kept(data, [position for position, name in classes if name not in names])


def _kept(data: DataSet, positions: list[int]) -> DataSet:
    labels = np.full(len(data.class_names), -1)
    labels[positions] = np.arange(len(positions))
    rows = np.flatnonzero(labels[data.labels] >= 0)
    return DataSet(
        images=data.images[rows],
        labels=labels[data.labels[rows]],
        class_names=tuple(data.class_names[position] for position in positions),
        is_test=data.is_test[rows],
        sources=data.sources[rows],
    )


def _positions(classes: str | int | Sequence[str | int], names: list[str], path: Path) -> list[int]:
    if classes == "all":
        return list(range(len(names)))
    if classes == "none" and "none" not in names:
        return []
    if isinstance(classes, str) and classes not in names:
        ends = re.fullmatch(r"(\d+)-(\d+)", classes)
        if ends:
            first, last = int(ends[1]), int(ends[2])
            if first > last:
                raise InputError(f"{path}: the range of classes {classes} runs backwards")
            # The first class that is missing, if one is, before a list is made up to the last.
            _position(min(last, max(first, len(names))), names, path)
            classes = list(range(first, last + 1))
    wanted = [classes] if isinstance(classes, str | int) else classes
    if not wanted:
        raise InputError(f"{path}: no class is chosen; wanted all, a list, or a range such as 0-9")
    positions = [_position(one, names, path) for one in wanted]
    for one, position in zip(wanted, positions, strict=True):
        if positions.count(position) > 1:
            raise InputError(f"{path}: class {one} is chosen twice")
    return positions


def _position(one: str | int, names: list[str], path: Path) -> int:
    if str(one) in names:
        return names.index(str(one))
    if str(one).isdecimal() and int(one) < len(names):
        return int(one)
    raise InputError(
        f"{path}: has no class {one}; its {len(names)} classes are {_shortened(names)}"
    )


def _shortened(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 12 else [*names[:5], "...", *names[-3:]])


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
