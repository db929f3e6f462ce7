"""What is to be said against images that are there twice.

Of copies of one class one stays: the one in the test, which is left as it was published, or else
the first. The others would be learned twice, or learned and then asked. Of images that stand in two
classes nobody can tell which stands right but who looks.
"""

import numpy as np
import pandas as pd

from belong.commands.check.duplicates import near_pairs, nearly_same, same
from belong.commands.clean.issue import Remark


def same_images(table: pd.DataFrame, rows: np.ndarray, digests: np.ndarray) -> list[Remark]:
    """Remark on images that are alike to the pixel.

    Args:
        table: a row for each file: `path`, `part`, `class`.
        rows: (n,) int64, of the images that are looked at.
        digests: (n,) of their pixels.
    """
    groups = same(digests)
    remarks = []
    for group in _members(rows, groups):
        classes = table["class"].iloc[group].to_numpy()
        if len(set(classes)) == 1:
            stays = _stays(table, group)
            copies = group[group != stays]
            remarks += [_copy(table, row, stays) for row in copies.tolist()]
            continue
        for row, own in zip(group.tolist(), classes, strict=True):
            other = int(group[classes != own][0])
            sentence = f"the same image is in class {_of(table, other, 'class')}"
            remarks.append(Remark(row, "review", "two_classes", sentence, other))
    return remarks


def near_images(
    table: pd.DataFrame, rows: np.ndarray, thumbnails: np.ndarray
) -> tuple[np.ndarray, list[Remark]]:
    """Number the groups of images that are nearly the same, -1 if alone, and remark on them.

    Args:
        table: as above.
        rows: (n,) int64, of the images that are looked at, no two of them alike to the pixel.
        thumbnails: (n, h, w) uint8, grey.

    Returns:
        (n,) int64, and the remarks.
    """
    groups = nearly_same(thumbnails)
    nearest = _nearest(rows, thumbnails) if (groups >= 0).any() else {}
    remarks = []
    for group in _members(rows, groups):
        is_mixed = len(set(table["class"].iloc[group])) > 1
        stays = -1 if is_mixed else _stays(table, group)
        looked_at = group[group != stays].tolist()
        remarks += [_near_copy(table, row, nearest[row]) for row in looked_at]
    return groups, remarks


def _members(rows: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each group, rising."""
    order = np.argsort(groups, kind="stable")
    order = order[groups[order] >= 0]
    if not len(order):
        return []
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    return [rows[some] for some in np.split(order, ends)]


def _stays(table: pd.DataFrame, group: np.ndarray) -> int:
    """Return which of the copies is kept."""
    in_test = group[table["part"].iloc[group].to_numpy() == "test"]
    return int(in_test[0] if len(in_test) else group[0])


def _nearest(rows: np.ndarray, thumbnails: np.ndarray) -> dict[int, int]:
    """Return for each row the one that is nearest to it, if one is near."""
    first, second, far = near_pairs(thumbnails)
    found: dict[int, int] = {}
    for pair in np.argsort(far, kind="stable"):
        one, other = int(rows[first[pair]]), int(rows[second[pair]])
        found.setdefault(one, other)
        found.setdefault(other, one)
    return found


def _copy(table: pd.DataFrame, row: int, other: int) -> Remark:
    sentence = f"the same image as {_described(table, row, other)}"
    return Remark(row, "quarantine", "copy", sentence, other)


def _near_copy(table: pd.DataFrame, row: int, other: int) -> Remark:
    sentence = f"nearly the same image as {_described(table, row, other)}"
    return Remark(row, "review", "near_copy", sentence, other)


def _described(table: pd.DataFrame, row: int, other: int) -> str:
    """Name another image, and in what it differs."""
    words = [_of(table, other, "path")]
    if _of(table, other, "class") != _of(table, row, "class"):
        words.append(f"of class {_of(table, other, 'class')}")
    if _of(table, other, "part") != _of(table, row, "part"):
        words.append(f"in {_of(table, other, 'part')}")
    return ", ".join(words)


def _of(table: pd.DataFrame, row: int, column: str) -> str:
    return str(table[column].iloc[row])
