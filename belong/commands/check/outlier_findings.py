"""Images that look like none of the others: blank, tiny, odd in shape or color."""

from collections.abc import Iterator

import pandas as pd

from belong.commands.check.finding import Finding, about, graver
from belong.runtime.text import counted

# An image is tiny, or of an odd shape, if it differs from the median by such a factor.
TINY = 4
ODD_SHAPE = 2
# A few grey ones among colored, or colored among grey: less than this share.
FEW = 0.1
# A class can be told by its files alone if its median size is so many times another's.
OTHER_SIZE = 2


def blank(read: pd.DataFrame) -> Iterator[Finding]:
    """Find images of one color."""
    rows = read[read["is_blank"]]
    if len(rows):
        sentence = f"{counted(len(rows), 'image')} of one color"
        yield Finding("blank", graver(len(rows), len(read)), sentence, about(rows))


def tiny(read: pd.DataFrame) -> Iterator[Finding]:
    """Find images whose shorter side is a small part of the median."""
    median = read["shorter_px"].median()
    rows = read[TINY * read["shorter_px"] < median]
    if len(rows):
        sentence = (
            f"{counted(len(rows), 'image')} tiny beside the others: the shorter side has at "
            f"most {rows['shorter_px'].max():g} pixels, the median {median:g}"
        )
        yield Finding("tiny", "matters", sentence, _sized(rows))


def odd_shape(read: pd.DataFrame) -> Iterator[Finding]:
    """Find images of which the square in the middle shows much less than of the others."""
    shape = read["longer_px"] / read["shorter_px"]
    rows = read[shape > ODD_SHAPE * shape.median()]
    if len(rows):
        sentence = (
            f"{counted(len(rows), 'image')} long and narrow: more than {ODD_SHAPE} times the "
            f"median ratio of sides, {shape.median():.2f}; only the middle is taken"
        )
        yield Finding("odd_shape", "matters", sentence, _sized(rows))


def other_color(read: pd.DataFrame) -> Iterator[Finding]:
    """Find the few grey images among colored ones, or the other way round; blank ones aside."""
    read = read[~read["is_blank"]]
    grey = read["is_grey"]
    for rows, what in ((read[grey], "grey among colored"), (read[~grey], "colored among grey")):
        if 0 < len(rows) < FEW * len(read):
            sentence = f"{counted(len(rows), 'image')} {what} ones"
            yield Finding("other_color", "note", sentence, about(rows))


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


def _sized(rows: pd.DataFrame) -> list[tuple[str, str]]:
    sizes = rows["shorter_px"].astype(str) + " x " + rows["longer_px"].astype(str) + " pixels"
    return about(rows, sizes)
