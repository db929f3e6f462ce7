"""What is to be said against images, whatever their class: unreadable, blank, tiny, there twice.

Of copies of one class one stays: the one in the test, which is left as it was published, or else
the first. The others would be learned twice, or learned and then asked. Of images that stand in two
classes nobody can tell which stands right but who looks.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from belong.commands.check.duplicates import LEAST_CONTRAST, linked, near_pairs, same
from belong.commands.check.image_findings import TINY
from belong.commands.clean.manifest import Remark


def files(looks: pd.DataFrame, *, least_side_px: int | None) -> Iterator[Remark]:
    """Remark on single files; `looks`: see `belong.commands.check.image_stats.table_of`.

    An image whose shorter side is below `least_side_px`, or else a quarter of the median, is tiny.
    """
    median = looks["shorter_px"].median()
    looked: Iterable[Any] = looks.itertuples()
    if least_side_px is None:
        least, why = median / TINY, f"less than a quarter of the median, {median:g}"
    else:
        least, why = least_side_px, f"expected at least {least_side_px}"
    for row, look in enumerate(looked):
        if look.reason:
            yield Remark(row, "quarantine", "unreadable", f"cannot be read: {look.reason}")
        elif look.is_blank:
            yield Remark(row, "quarantine", "blank", "has one color")
        else:
            if look.thumbnail.std() < LEAST_CONTRAST:
                yield Remark(row, "review", "nearly_blank", "has nearly one color")
            if look.shorter_px < least:
                size = f"the shorter side has {look.shorter_px:.0f} pixels"
                yield Remark(row, "review", "tiny", f"{size}, {why}")


def same_images(table: pd.DataFrame, rows: np.ndarray, digests: np.ndarray) -> list[Remark]:
    """Remark on images that are alike to the pixel.

    `table` has `path`, `part` and `class` of each file; `rows` (n,) int64 are looked at.
    """
    remarks = []
    for group in _members(rows, same(digests)):
        classes = table["class"].iloc[group].to_numpy()
        if len(set(classes)) == 1:
            stays = _stays(table, group)
            for row in group[group != stays].tolist():
                sentence = f"the same image as {_described(table, row, stays)}"
                remarks.append(Remark(row, "quarantine", "copy", sentence, stays))
            continue
        for row, own in zip(group.tolist(), classes, strict=True):
            other = int(group[classes != own][0])
            sentence = f"the same image is in class {table['class'].iloc[other]}"
            remarks.append(Remark(row, "review", "two_classes", sentence, other))
    return remarks


def near_images(
    table: pd.DataFrame, rows: np.ndarray, thumbnails: np.ndarray
) -> tuple[np.ndarray, list[Remark]]:
    """Number the groups of images that are nearly the same, -1 if alone, and remark on them.

    `table` and `rows` are as above, no two of them alike to the pixel; `thumbnails` (n, h, w)
    uint8, grey.

    Returns:
        (n,) int64, and the remarks.
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
        stays = -1 if is_mixed else _stays(table, group)
        for row in group[group != stays].tolist():
            sentence = f"nearly the same image as {_described(table, row, nearest[row])}"
            remarks.append(Remark(row, "review", "near_copy", sentence, nearest[row]))
    return groups, remarks


def _members(rows: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each group, rising."""
    is_in_one = groups >= 0
    members = pd.Series(rows[is_in_one]).groupby(groups[is_in_one])
    return [own.to_numpy() for _, own in members]


def _stays(table: pd.DataFrame, group: np.ndarray) -> int:
    """Return which of the copies is kept."""
    in_test = group[table["part"].iloc[group].to_numpy() == "test"]
    return int(in_test[0] if len(in_test) else group[0])


def _described(table: pd.DataFrame, row: int, other: int) -> str:
    """Name another image, and in what it differs."""
    own, another = table.iloc[row], table.iloc[other]
    words = [str(another["path"])]
    if another["class"] != own["class"]:
        words.append(f"of class {another['class']}")
    if another["part"] != own["part"]:
        words.append(f"in {another['part']}")
    return ", ".join(words)
