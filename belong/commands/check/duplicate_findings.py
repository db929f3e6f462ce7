"""Images that are there twice: under two labels, in training and test, or just so."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from belong.commands.check.duplicates import nearly_same, same, units
from belong.commands.check.report import Finding, Level, graver, is_many
from belong.runtime.text import counted

KINDS = {"same": "the same image", "near": "nearly the same image"}


def copies(read: pd.DataFrame) -> Iterator[Finding]:
    """Find images that are there more than once; a blank one is like every other, and left out."""
    rows = read[~read["is_blank"]].reset_index(drop=True)
    if rows.empty:
        return
    # To what class an anomaly belongs decides nothing.
    rows["class_name"] = rows["class_name"].where(~rows["is_anomaly"], "")
    tests = int((rows["part"] == "test").sum())
    alike = same(rows["digest"].to_numpy())
    first, unit = units(alike)  # one image stands for all that are the same
    near = nearly_same(np.stack(rows["thumbnail"].iloc[first].to_list()))[unit]
    for kind, groups in zip(KINDS, (alike, near), strict=True):
        table = rows.assign(group=groups)
        table = table[table["group"] >= 0]
        yield from _across(table, kind, "is_anomaly", "anomalies", len(rows))
        table = table[~_differ(table, "is_anomaly")]
        yield from _across(table, kind, "class_name", "classes", len(rows))
        table = table[~_differ(table, "class_name")]
        yield from _across(table, kind, "part", "parts", tests)
        yield from _within(table[~_differ(table, "part")], kind, len(rows))


def _differ(table: pd.DataFrame, column: str) -> "pd.Series[bool]":
    """Return for each row whether its group has two values in the column."""
    differ: pd.Series[bool] = table.groupby("group")[column].transform("nunique") > 1
    return differ


def _across(
    table: pd.DataFrame, kind: str, column: str, name: str, total: int
) -> Iterator[Finding]:
    rows = table[_differ(table, column)]
    if rows.empty:
        return
    copied = len(rows) - rows["group"].nunique()  # one of each group is no copy
    images = counted(len(rows), "image")
    level: Level
    if column == "is_anomaly":
        level = graver(copied, total)
        sentence = f"{images} stand among the normal ones and the anomalies: {KINDS[kind]}"
    elif column == "class_name":
        level = graver(copied, total) if kind == "same" else "matters"
        sentence = f"{images} are in two classes or more: {KINDS[kind]} under different labels"
    else:
        in_test = int((rows["part"] == "test").sum())
        # Of images alike to the byte, a training keeps the one in the test alone.
        level = "matters" if kind == "same" else graver(in_test, total)
        sentence = (
            f"{counted(in_test, 'test image')} of {total:,} also in training: {KINDS[kind]}; "
            f"the test then measures memory"
        )
    yield Finding(f"{kind}_across_{name}", level, sentence, _listed(rows, column))


def _within(table: pd.DataFrame, kind: str, total: int) -> Iterator[Finding]:
    if table.empty:
        return
    groups = table["group"].nunique()
    sentence = (
        f"{counted(len(table), 'image')} in {counted(groups, 'group')} of {KINDS[kind]}, of one "
        f"class"
    )
    if not (table["part"] == "test").any():
        sentence += "; divided at random, copies will stand in training and in the test"
    # In large sets some are alike by chance, such as two digits 1.
    level: Level = "matters" if kind == "same" or is_many(len(table), total) else "note"
    yield Finding(f"{kind}_within_class", level, sentence, _listed(table, ""))


def _listed(rows: pd.DataFrame, column: str) -> list[tuple[str, str]]:
    """Return (path, another one of its group), on the other side of `column` if one is given."""
    listed = []
    for _, group in rows.groupby("group"):
        paths = group["path"].to_list()
        sides = group[column].to_list() if column else range(len(paths))
        for path, own in zip(paths, sides, strict=True):
            other = next(one for one, side in zip(paths, sides, strict=True) if side != own)
            listed.append((path, f"as {other}"))
    return listed
