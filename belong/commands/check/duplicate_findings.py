"""Find duplicate images: across classes, across training and test, and within a class."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from belong.commands.check.duplicates import nearly_same, same, units
from belong.commands.check.report import Finding, Level, graver, is_many
from belong.runtime.text import counted

KINDS = {"same": "the same image", "near": "nearly the same image"}
ALIKE = {"same": "same as", "near": "nearly the same as"}


def copies(readable: pd.DataFrame) -> Iterator[Finding]:
    """Find duplicate and near-duplicate images; blank images, which are all alike, are skipped."""
    rows = readable[~readable["is_blank"]].reset_index(drop=True)
    if rows.empty:
        return
    # The class of an anomaly is irrelevant.
    rows["class_name"] = rows["class_name"].where(~rows["is_anomaly"], "")
    tests = int((rows["part"] == "test").sum())
    identical = same(rows["digest"].to_numpy())
    first, unit = units(identical)  # one image represents its identical copies
    near = nearly_same(np.stack(rows["thumbnail"].iloc[first].to_list()))[unit]
    for kind, groups in zip(KINDS, (identical, near), strict=True):
        table = rows.assign(group=groups)
        table = table[table["group"] >= 0]
        yield from _across(table, kind, "is_anomaly", "anomalies", len(rows))
        table = table[~_differ(table, "is_anomaly")]
        yield from _across(table, kind, "class_name", "classes", len(rows))
        table = table[~_differ(table, "class_name")]
        yield from _across(table, kind, "part", "parts", tests)
        yield from _within(table[~_differ(table, "part")], kind, len(rows))


def _differ(table: pd.DataFrame, column: str) -> "pd.Series[bool]":
    """Return for each row whether its group has several values in the column."""
    differ: pd.Series[bool] = table.groupby("group")[column].transform("nunique") > 1
    return differ


def _across(
    table: pd.DataFrame, kind: str, column: str, name: str, total: int
) -> Iterator[Finding]:
    rows = table[_differ(table, column)]
    if rows.empty:
        return
    copied = len(rows) - rows["group"].nunique()  # all but one image of each group are copies
    images = counted(len(rows), "image")
    level: Level
    if column == "is_anomaly":
        level = graver(copied, total)
        sentence = f"{images} occur among both normal images and anomalies: {KINDS[kind]}"
    elif column == "class_name":
        level = graver(copied, total) if kind == "same" else "matters"
        sentence = f"{images} occur in several classes: {KINDS[kind]} with different labels"
    else:
        in_test = int((rows["part"] == "test").sum())
        # Of identical images, the split keeps only the test image.
        level = "matters" if kind == "same" else graver(in_test, total)
        sentence = (
            f"{counted(in_test, 'test image')} of {total:,} also in training: {KINDS[kind]}; "
            f"the test then measures memorization"
        )
    yield Finding(f"{kind}_across_{name}", level, sentence, _pairs(rows, kind, column))


def _within(table: pd.DataFrame, kind: str, total: int) -> Iterator[Finding]:
    if table.empty:
        return
    groups = table["group"].nunique()
    sentence = (
        f"{counted(len(table), 'image')} in {counted(groups, 'group')} of {KINDS[kind]} within a "
        f"class"
    )
    if not (table["part"] == "test").any():
        sentence += "; a random split may put copies into both training and test"
    # In large sets some images are similar by chance, such as two digits 1.
    level: Level = "matters" if kind == "same" or is_many(len(table), total) else "note"
    yield Finding(f"{kind}_within_class", level, sentence, _pairs(table, kind, ""))


def _pairs(rows: pd.DataFrame, kind: str, column: str) -> list[tuple[str, str]]:
    """Return pairs of a path and another path of its group, with another value of `column`."""
    pairs = []
    for _, group in rows.groupby("group"):
        paths = group["path"].to_list()
        sides = group[column].to_list() if column else range(len(paths))
        for path, own_side in zip(paths, sides, strict=True):
            other = next(one for one, side in zip(paths, sides, strict=True) if side != own_side)
            pairs.append((path, f"{ALIKE[kind]} {other}"))
    return pairs
