"""Images and files that are unlike the others, that cannot be read, or that their names belie."""

from collections.abc import Iterator
from pathlib import PurePath

import pandas as pd
from PIL import Image

from belong.commands.check.report import Finding, Level, graver, images_finding
from belong.data.image_reader import FORMATS
from belong.runtime.text import counted

# An image is tiny, or of an odd shape, if it differs from the median by such a factor.
TINY = 4
ODD_SHAPE = 2
# A few grey ones among colored, or colored among grey: less than this share.
FEW = 0.1
# A class can be told by its files alone if its median size is so many times another's.
OTHER_SIZE = 2


def unreadable(seen: pd.DataFrame, *, max_bad_fraction: float) -> Iterator[Finding]:
    """Find files that give no image; more than `max_bad_fraction` of a folder's stop a training."""
    for folder, rows in seen.groupby("folder", sort=False):
        bad = rows[rows["reason"] != ""]
        share = len(bad) / len(rows)
        sentence = (
            f"{folder}: {counted(len(bad), 'file')} of {len(rows):,} ({share:.1%}) cannot be read; "
            f"a training stops above {max_bad_fraction:.1%}"
        )
        level: Level = "spoils" if share > max_bad_fraction else "matters"
        yield from images_finding("unreadable", level, bad, sentence, bad["reason"])


def blank(read: pd.DataFrame) -> list[Finding]:
    """Find images of one color."""
    rows = read[read["is_blank"]]
    sentence = f"{counted(len(rows), 'image')} of one color"
    return images_finding("blank", graver(len(rows), len(read)), rows, sentence)


def tiny(read: pd.DataFrame) -> list[Finding]:
    """Find images whose shorter side is a small part of the median."""
    median = read["shorter_px"].median()
    rows = read[TINY * read["shorter_px"] < median]
    sentence = (
        f"{counted(len(rows), 'image')} tiny beside the others: the shorter side has at "
        f"most {rows['shorter_px'].max():g} pixels, the median {median:g}"
    )
    return images_finding("tiny", "matters", rows, sentence, _sizes(rows))


def odd_shape(read: pd.DataFrame) -> list[Finding]:
    """Find images of which the square in the middle shows much less than of the others."""
    shape = read["longer_px"] / read["shorter_px"]
    rows = read[shape > ODD_SHAPE * shape.median()]
    sentence = (
        f"{counted(len(rows), 'image')} long and narrow: more than {ODD_SHAPE} times the "
        f"median ratio of sides, {shape.median():.2f}; only the middle is taken"
    )
    return images_finding("odd_shape", "matters", rows, sentence, _sizes(rows))


def other_color(read: pd.DataFrame) -> Iterator[Finding]:
    """Find the few grey images among colored ones, or the other way round; blank ones aside."""
    read = read[~read["is_blank"]]
    grey = read["is_grey"]
    for rows, what in ((read[grey], "grey among colored"), (read[~grey], "colored among grey")):
        if len(rows) < FEW * len(read):
            sentence = f"{counted(len(rows), 'image')} {what} ones"
            yield from images_finding("other_color", "note", rows, sentence)


def told_by_the_file(read: pd.DataFrame) -> Iterator[Finding]:
    """Find what tells the classes apart without looking: a network will learn that instead."""
    classes = read.groupby("class_name", sort=False)
    grey = classes["is_grey"].mean()
    if grey.min() <= FEW and grey.max() >= 1 - FEW:
        sentence = (
            f"class {grey.idxmax()} is grey ({grey.max():.0%}) and class {grey.idxmin()} colored "
            f"({1 - grey.min():.0%}): a network will look at that"
        )
        yield Finding("class_by_color", "matters", sentence)
    size = classes["shorter_px"].median()
    if size.max() >= OTHER_SIZE * size.min():
        sentence = (
            f"class {size.idxmax()} has {size.max():g} pixels on the shorter side (median) and "
            f"class {size.idxmin()} {size.min():g}: resized to one size, sharpness tells them apart"
        )
        yield Finding("class_by_size", "matters", sentence)


def misnamed(read: pd.DataFrame) -> list[Finding]:
    """Find extensions that belong to another format; the content decides."""
    known = {end: kind for end, kind in Image.registered_extensions().items() if kind in FORMATS}
    ends = read["path"].map(lambda path: PurePath(path).suffix.lower())
    # An MPO is a JPEG with a second picture behind it: many cameras write them.
    kinds = read["kind"].replace({"MPO": "JPEG"})
    rows = read[ends.isin(known) & (ends.map(known) != kinds) & (kinds != "")]
    sentence = f"{counted(len(rows), 'file')} of another format than the name says; read alike"
    return images_finding("misnamed", "note", rows, sentence, "is " + rows["kind"])


def animated(read: pd.DataFrame) -> list[Finding]:
    """Find files with several frames."""
    rows = read[read["is_animated"]]
    sentence = f"{counted(len(rows), 'file')} with several frames; only the first is taken"
    return images_finding("animated", "note", rows, sentence)


def _sizes(rows: pd.DataFrame) -> "pd.Series[str]":
    return rows["shorter_px"].astype(str) + " x " + rows["longer_px"].astype(str) + " pixels"
