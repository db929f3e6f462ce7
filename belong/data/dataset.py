"""Hold a data set: images as one array, labels, class names and the official test part."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from belong.data.resize import Form, one_formed
from belong.runtime.errors import InputError

IS_IN = "the same image is in "  # start of a reason; two classes, or a part of the split, follow


@dataclass(frozen=True)
class DataSet:
    """Labeled images.

    Attributes:
        images: (n, ch, h, w) uint8.
        labels: (n,) int64, 0..c-1.
        class_names: the c names, in the order of the labels.
        is_test: (n,) bool, the official test images.
        sources: (n,) str, the file of each image, and its index in an IDX file.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    is_test: np.ndarray
    sources: np.ndarray


def select_classes(data: DataSet, classes: str | int | Sequence[str | int], path: Path) -> DataSet:
    """Select the images of some classes and renumber these from 0 in the order of the data set.

    Args:
        data: the data set.
        classes: "all", "none", a class, a list of classes, or a range of positions such as "0-9"
            (both ends included). A class is matched by name first, then by position; a range always
            means positions. Classes named all or none need a list.
        path: of the data set, for the message.

    Raises:
        InputError: an unknown class, a duplicate, or an empty list.
    """
    return _rows_of_classes(data, sorted(_positions(classes, list(data.class_names), path)))


def without(data: DataSet, names: Collection[str]) -> DataSet:
    """Remove the classes `names` and renumber the others from 0."""
    classes = enumerate(data.class_names)
    return _rows_of_classes(data, [position for position, name in classes if name not in names])


def _rows_of_classes(data: DataSet, positions: list[int]) -> DataSet:
    if positions == list(range(len(data.class_names))):
        return data  # all of them: no second copy
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


def hashes(images: np.ndarray, form: Form | None = None) -> np.ndarray:
    """Return the SHA-256 of each image's pixels, in `form` if one is given: (n,) str."""
    if form is not None and Form.of(images) != form:
        formed_one = (one_formed(image, form) for image in images)
        return np.array([hashlib.sha256(one.tobytes()).hexdigest() for one in formed_one], object)
    return np.array([hashlib.sha256(image.data).hexdigest() for image in images], object)


def copies(data: DataSet, sha256: np.ndarray) -> np.ndarray:
    """Return the reason to exclude each image before the split: (n,) str, empty to keep it.

    Of byte-identical images in one class, the first is kept; otherwise an image with many copies
    would be more likely in the test part. Images that occur in two classes are ambiguous, and all
    their copies are excluded. Test images are never excluded.

    Args:
        data: the data set.
        sha256: (n,) as `hashes` returns them.
    """
    reasons = np.full(len(data.labels), "", dtype=object)
    pool = np.flatnonzero(~data.is_test)
    table = pd.DataFrame({"sha256": sha256[pool], "label": data.labels[pool]})
    contradicts = (table.groupby("sha256")["label"].transform("nunique") > 1).to_numpy()
    is_copy = table["sha256"].duplicated().to_numpy() & ~contradicts
    first = dict(zip(sha256[pool][::-1], data.sources[pool][::-1], strict=True))
    reasons[pool[is_copy]] = [f"the same image as {first[one]}" for one in sha256[pool[is_copy]]]
    named = table["label"].map(dict(enumerate(data.class_names)))
    classes = (
        named[contradicts]
        .groupby(table["sha256"])
        .agg(lambda group: " and ".join(sorted(set(group))))
    )
    mixed = pool[contradicts]
    reasons[mixed] = [f"{IS_IN}{classes[one]}" for one in sha256[mixed]]
    return reasons


def with_test_part(data: DataSet, *, fraction: float, rng: np.random.Generator) -> DataSet:
    """Draw a test part, the same fraction of every class, if the data set has none.

    Copies are not drawn. A data set with official test images is returned unchanged.
    """
    if data.is_test.any():
        return data
    is_unique = copies(data, hashes(data.images)) == ""
    is_test = np.zeros(len(data.labels), bool)
    for label in range(len(data.class_names)):
        rows = np.flatnonzero((data.labels == label) & is_unique)
        is_test[rng.permutation(rows)[: draw_count(len(rows), fraction)]] = True
    return replace(data, is_test=is_test)


def draw_count(images: int, fraction: float) -> int:
    """Return the number of images that a fraction draws from a class, at least one.

    Every split, plan and check uses this count.

    Args:
        images: number of images in the class.
        fraction: between 0 and 1.
    """
    return min(images, max(1, round(fraction * images)))


def _positions(classes: str | int | Sequence[str | int], names: list[str], path: Path) -> list[int]:
    if classes == "all":
        return list(range(len(names)))
    if classes == "none":
        return []
    if isinstance(classes, str) and classes not in names:
        ends = re.fullmatch(r"(\d+)-(\d+)", classes)
        if ends:
            first, last = int(ends[1]), int(ends[2])
            if first > last:
                raise InputError(f"{path}: classes: expected a rising range, got {classes}")
            if last >= len(names):
                raise InputError(
                    f"{path}: classes: expected a range from 0 to {len(names) - 1}, got {classes}; "
                    f"the {len(names)} classes are {_shortened(names)}"
                )
            return list(range(first, last + 1))
    choices = [classes] if isinstance(classes, str | int) else classes
    if not choices:
        raise InputError(
            f"{path}: classes: expected all, a list, or a range such as 0-9, got an empty list"
        )
    positions = [_position(choice, names, path) for choice in choices]
    for choice, position in zip(choices, positions, strict=True):
        if positions.count(position) > 1:
            raise InputError(f"{path}: classes: expected each class once, got {choice} twice")
    return positions


def _position(one: str | int, names: list[str], path: Path) -> int:
    if str(one) in names:
        return names.index(str(one))
    if str(one).isdecimal():
        alike = [name for name in names if _number(name) == int(one)]
        if alike:
            raise InputError(
                f"{path}: class {one} is ambiguous: the name {alike[0]}, which YAML reads as a "
                f"number, or a position; expected the name in quotes"
            )
        if int(one) < len(names):
            return int(one)
    raise InputError(
        f"{path}: expected one of the {len(names)} classes {_shortened(names)}, got {one}"
    )


def _number(name: str) -> int | None:
    """Return the number that YAML reads in an unquoted name, such as 01, 1_000 or 0x1F, or None."""
    for base in (10, 0):  # base 0 is that of the prefix
        with suppress(ValueError):
            return int(name, base)
    return None


def _shortened(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 12 else [*names[:5], "...", *names[-3:]])


COLUMNS = ("data_set", "source", "class_name", "label", "is_test")


def rows(name: str, data: DataSet) -> pd.DataFrame:
    """Return the rows of a data set, in the order of its images; its array is called `name`."""
    return pd.DataFrame(
        {
            "data_set": name,
            "source": data.sources,
            "class_name": np.array(data.class_names)[data.labels],
            "label": data.labels,
            "is_test": data.is_test,
        }
    )


def data_set(name: str, table: pd.DataFrame, arrays: Mapping[str, np.ndarray]) -> DataSet:
    """Return the data set `name` from its table of `rows`.

    Args:
        name: of the data set and its array.
        table: COLUMNS, all as text, of every data set.
        arrays: (n, ch, h, w) uint8 of every data set.

    Raises:
        InputError: the table and the array differ in their number of images.
    """
    rows_here = table[table["data_set"] == name]
    if name not in arrays or len(rows_here) != len(arrays[name]) or rows_here.empty:
        raise InputError(f"{name}: is not packed; run `dvc repro pack`")
    labels = rows_here["label"].astype(np.int64).to_numpy()
    classes = rows_here.drop_duplicates("label").set_index("label")["class_name"]
    return DataSet(
        images=arrays[name],
        labels=labels,
        class_names=tuple(classes[str(label)] for label in range(len(classes))),
        is_test=(rows_here["is_test"] == "True").to_numpy(),
        sources=rows_here["source"].to_numpy(),
    )
