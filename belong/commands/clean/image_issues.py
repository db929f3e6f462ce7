"""Find problems of images that do not depend on the class: unreadable, blank, tiny, duplicate.

Of the copies within a class one is kept: a test image, so that the test part stays unchanged, or
else the first one. Further copies would count twice in training, or leak from training into the
test. If copies occur in two classes, a person has to decide which label is right.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from belong.commands.check.duplicates import LEAST_CONTRAST, linked, near_pairs, same
from belong.commands.check.image_findings import TINY
from belong.commands.clean.manifest import Remark


def files(looks: pd.DataFrame, *, least_side_px: int | None) -> Iterator[Remark]:
    """Yield the problems of single files.

    Args:
        looks: see `belong.commands.check.image_stats.table_of`.
        least_side_px: minimum shorter side; None: a quarter of the median.
    """
    median = looks["shorter_px"].median()
    rows: Iterable[Any] = looks.itertuples()
    if least_side_px is None:
        least, why = median / TINY, f"less than a quarter of the median, {median:g}"
    else:
        least, why = least_side_px, f"expected at least {least_side_px}"
    for row, look in enumerate(rows):
        if look.reason:
            yield Remark(row, "quarantine", "unreadable", f"cannot be read: {look.reason}")
        elif look.is_blank:
            yield Remark(row, "quarantine", "blank", "blank: one color")
        else:
            if look.thumbnail.std() < LEAST_CONTRAST:
                yield Remark(row, "review", "nearly_blank", "nearly blank")
            if look.shorter_px < least:
                size = f"the shorter side has {look.shorter_px:.0f} pixels"
                yield Remark(row, "review", "tiny", f"{size}, {why}")


def same_images(table: pd.DataFrame, rows: np.ndarray, digests: np.ndarray) -> list[Remark]:
    """Return remarks on images with identical pixels.

    Args:
        table: `path`, `part` and `class` of each file.
        rows: (n,) int64, the rows to compare.
        digests: (n,) their digests.
    """
    remarks = []
    for group in _members(rows, same(digests)):
        classes = table["class"].iloc[group].to_numpy()
        if len(set(classes)) == 1:
            original = _original(table, group)
            for row in group[group != original].tolist():
                sentence = f"the same image as {_described(table, row, original)}"
                remarks.append(Remark(row, "quarantine", "copy", sentence, original))
            continue
        for row, label in zip(group.tolist(), classes, strict=True):
            other = int(group[classes != label][0])
            sentence = f"the same image is in class {table['class'].iloc[other]}"
            remarks.append(Remark(row, "review", "two_classes", sentence, other))
    return remarks


def near_images(
    table: pd.DataFrame, rows: np.ndarray, thumbnails: np.ndarray
) -> tuple[np.ndarray, list[Remark]]:
    """Group near duplicates, and return remarks on them.

    Args:
        table: `path`, `part` and `class` of each file.
        rows: (n,) int64, the rows to compare, without identical images.
        thumbnails: (n, h, w) uint8, gray.

    Returns:
        The group of each image, (n,) int64, -1 if alone; and the remarks.
    """
    first, second, far = near_pairs(thumbnails)
    groups = linked(first, second, len(rows))
    nearest: dict[int, int] = {}
    for pair in np.argsort(far, kind="stable"):
        one, other = int(rows[first[pair]]), int(rows[second[pair]])
        nearest.setdefault(one, other)
        nearest.setdefault(other, one)
    remarks = []
    for group in _members(rows, groups):
        is_mixed = len(set(table["class"].iloc[group])) > 1
        original = -1 if is_mixed else _original(table, group)
        for row in group[group != original].tolist():
            sentence = f"nearly the same image as {_described(table, row, nearest[row])}"
            remarks.append(Remark(row, "review", "near_copy", sentence, nearest[row]))
    return groups, remarks


def _members(rows: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """Return the sorted rows of each group."""
    is_grouped = groups >= 0
    members = pd.Series(rows[is_grouped]).groupby(groups[is_grouped])
    return [group.to_numpy() for _, group in members]


def _original(table: pd.DataFrame, group: np.ndarray) -> int:
    """Return the row of the copy that is kept."""
    in_test = group[table["part"].iloc[group].to_numpy() == "test"]
    return int(in_test[0] if len(in_test) else group[0])


def _described(table: pd.DataFrame, row: int, other: int) -> str:
    """Name another image, with its class and part if they differ."""
    image, another = table.iloc[row], table.iloc[other]
    words = [str(another["path"])]
    if another["class"] != image["class"]:
        words.append(f"of class {another['class']}")
    if another["part"] != image["part"]:
        words.append(f"in {another['part']}")
    return ", ".join(words)
