"""Images and files that are unlike the others, that cannot be read, or that their names belie."""

from collections.abc import Iterator
from pathlib import PurePath

import pandas as pd
from PIL import Image

from belong.commands.check.glance import SCALE_PX
from belong.commands.check.report import Finding, Level, graver, images_finding
from belong.data.image_reader import FORMATS
from belong.runtime.text import counted

# An image is tiny, or of an odd shape, if it differs from the median by such a factor.
TINY = 4
ODD_SHAPE = 2
# And at any median if the square in the middle shows no more than a quarter of it.
NARROW = 4
# Of a blurred photo the sharpness is below this, and below half the median of all. Of 3,014 photos
# of rooms, houses and a thousand other things none is (the lowest has 2.8). At a shorter side of
# 256 pixels, blurred by a Gaussian of 1.5 pixels, all are; by one of 1 pixel, 7 %.
BLURRED = 2.0
# Of a dark photo 95 % of the pixels lie below this, of 255: none of the 3,014, and all of them if
# darkened to an eighth.
DARK = 40
# Of an overexposed photo half of the pixels are white, and 95 % of all brighter than this: 2 of the
# 3,014, things before a white wall; of those made 4 times as bright 76 %.
OVEREXPOSED_SHARE, OVEREXPOSED = 0.5, 100
# Where a tenth of all are so, it is their manner and no accident: things before a white wall.
MANNER = 0.1
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
    rows = read[(shape > ODD_SHAPE * shape.median()) | (shape >= NARROW)]
    least = 1 / shape[rows.index].max()
    sentence = (
        f"{counted(len(rows), 'image')} long and narrow: more than {ODD_SHAPE} times the "
        f"median ratio of sides, {shape.median():.2f}, or than {NARROW}; only the square in the "
        f"middle is taken, down to {least:.0%} of the image"
    )
    return images_finding("odd_shape", "matters", rows, sentence, _sizes(rows))


def blurred(read: pd.DataFrame) -> list[Finding]:
    """Find photos that are blurred beside the others; see `glance._sharpness`."""
    sharpness = read["sharpness"]
    rows = read[sharpness < min(BLURRED, sharpness.median() / 2)]
    sentence = (
        f"{counted(len(rows), 'image')} blurred: at a shorter side of {SCALE_PX} pixels the "
        f"sharpness is below {BLURRED:g} and half the median of all, {sharpness.median():.1f}"
    )
    details = rows["sharpness"].map("sharpness {:.2f}".format)
    return images_finding("blurred", "matters", rows, sentence, details)


def badly_exposed(read: pd.DataFrame) -> Iterator[Finding]:
    """Find photos that are too dark or too bright; blank ones aside."""
    seen = read[~read["is_blank"]]
    for name, is_so, sentence, detail in (
        (
            "dark",
            seen["dark_95"] < DARK,
            f"dark: 95 % of the pixels are below {DARK} of 255",
            seen["dark_95"].map("95 % of it below {:.0f}".format),
        ),
        (
            "overexposed",
            (seen["white_share"] >= OVEREXPOSED_SHARE) & (seen["dark_5"] >= OVEREXPOSED),
            f"overexposed: {OVEREXPOSED_SHARE:.0%} of the pixels or more are white, and 95 % "
            f"brighter than {OVEREXPOSED} of 255",
            seen["white_share"].map("{:.0%} of it white".format),
        ),
    ):
        rows = seen[is_so]
        if len(rows) <= MANNER * len(seen):
            what = f"{counted(len(rows), 'image')} {sentence}"
            yield from images_finding(name, "matters", rows, what, detail[is_so])


def broken_profile(read: pd.DataFrame) -> list[Finding]:
    """Find images whose color profile cannot be used."""
    rows = read[read["profile_error"] != ""]
    sentence = (
        f"{counted(len(rows), 'image')} with a color profile that cannot be used; read as sRGB"
    )
    return images_finding("broken_profile", "note", rows, sentence, rows["profile_error"])


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
