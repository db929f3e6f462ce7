"""Find images that are unreadable, unusual, badly taken or misnamed."""

from collections.abc import Iterator
from pathlib import PurePath

import pandas as pd
from PIL import Image

from belong.commands.check.image_properties import SCALE_PX
from belong.commands.check.report import Finding, Level, graver, images_finding
from belong.data.image_reader import FORMATS
from belong.runtime.text import counted, percent, percent_of

# Factor from the median at which an image counts as tiny, or as oddly shaped.
TINY = 4
ODD_SHAPE = 2
# Ratio of sides that is always odd: the central square shows a quarter of the image or less.
NARROW = 4
# A photo is blurred if its sharpness is below this, and below half the median. Of 3,014 photos of
# rooms, houses and a thousand other things none is (minimum 2.8). At a shorter side of 256 pixels,
# a Gaussian blur of 1.5 pixels is always detected, one of 1 pixel in 7% of the photos.
BLURRED = 2.0
# A photo is dark if 95% of its pixels are below this, of 255. Of the 3,014 photos none is dark;
# darkened to an eighth, all are.
DARK = 40
# A photo is overexposed if half of its pixels are white, and 95% are brighter than the second
# number. Of the 3,014 photos 2 are, objects in front of a white wall; 4 times as bright, 76% are.
OVEREXPOSED_SHARE, OVEREXPOSED = 0.5, 100
# Above this share of dark or bright images, the exposure is a property of the data set.
MANNER = 0.1
# Up to this share of gray images among color images, or the reverse, they count as exceptions.
FEW = 0.1
# The image size predicts the class if the median size of two classes differs by this factor.
OTHER_SIZE = 2


def unreadable(table: pd.DataFrame, *, max_bad_fraction: float) -> Iterator[Finding]:
    """Find unreadable files; a share above `max_bad_fraction` of a folder stops training."""
    for folder, rows in table.groupby("folder", sort=False):
        bad = rows[rows["reason"] != ""]
        share = len(bad) / len(rows)
        sentence = (
            f"{folder}: {counted(len(bad), 'file')} of {len(rows):,} ({percent(share)}) cannot "
            f"be read; training stops above {percent_of(max_bad_fraction)}"
        )
        level: Level = "spoils" if share > max_bad_fraction else "matters"
        yield from images_finding("unreadable", level, bad, sentence, bad["reason"])


def blank(readable: pd.DataFrame) -> list[Finding]:
    """Find images of one color."""
    rows = readable[readable["is_blank"]]
    sentence = f"{counted(len(rows), 'image')} of one color"
    return images_finding("blank", graver(len(rows), len(readable)), rows, sentence)


def tiny(readable: pd.DataFrame) -> list[Finding]:
    """Find images whose shorter side is a small part of the median."""
    median = readable["shorter_px"].median()
    rows = readable[TINY * readable["shorter_px"] < median]
    sentence = (
        f"{counted(len(rows), 'image')} much smaller than the others: shorter side of at most "
        f"{rows['shorter_px'].max():g} pixels, median {median:g}"
    )
    return images_finding("tiny", "matters", rows, sentence, _sizes(rows))


def odd_shape(readable: pd.DataFrame) -> list[Finding]:
    """Find images whose central square shows a much smaller part than usual."""
    shape = readable["longer_px"] / readable["shorter_px"]
    rows = readable[(shape > ODD_SHAPE * shape.median()) | (shape >= NARROW)]
    least = 1 / shape[rows.index].max()
    sentence = (
        f"{counted(len(rows), 'image')} long and narrow: ratio of sides above {NARROW}, or above "
        f"{ODD_SHAPE} times the median, {shape.median():.2f}; training sees only the central "
        f"square, down to {least:.0%} of the image"
    )
    return images_finding("odd_shape", "matters", rows, sentence, _sizes(rows))


def blurred(readable: pd.DataFrame) -> list[Finding]:
    """Find photos that are more blurred than the others; see `image_properties._sharpness`."""
    sharpness = readable["sharpness"]
    rows = readable[sharpness < min(BLURRED, sharpness.median() / 2)]
    sentence = (
        f"{counted(len(rows), 'image')} blurred: sharpness below {BLURRED:g} and below half the "
        f"median, {sharpness.median():.1f}, at a shorter side of {SCALE_PX} pixels"
    )
    details = rows["sharpness"].map("sharpness {:.2f}".format)
    return images_finding("blurred", "matters", rows, sentence, details)


def badly_exposed(readable: pd.DataFrame) -> Iterator[Finding]:
    """Find photos that are too dark or too bright; blank images are skipped."""
    images = readable[~readable["is_blank"]]
    for name, is_so, sentence, detail in (
        (
            "dark",
            images["dark_95"] < DARK,
            f"dark: 95% of the pixels are below {DARK} of 255",
            images["dark_95"].map("95% of the pixels are below {:.0f}".format),
        ),
        (
            "overexposed",
            (images["white_share"] >= OVEREXPOSED_SHARE) & (images["dark_5"] >= OVEREXPOSED),
            f"overexposed: at least {OVEREXPOSED_SHARE:.0%} of the pixels are white, and 95% are "
            f"brighter than {OVEREXPOSED} of 255",
            images["white_share"].map(lambda white: f"{percent(white)} of the pixels are white"),
        ),
    ):
        rows = images[is_so]
        if len(rows) <= MANNER * len(images):
            summary = f"{counted(len(rows), 'image')} {sentence}"
            yield from images_finding(name, "matters", rows, summary, detail[is_so])


def broken_profile(readable: pd.DataFrame) -> list[Finding]:
    """Find images whose color profile cannot be used."""
    rows = readable[readable["profile_error"] != ""]
    sentence = f"{counted(len(rows), 'image')} with an unusable color profile; read as sRGB"
    return images_finding("broken_profile", "note", rows, sentence, rows["profile_error"])


def other_color(readable: pd.DataFrame) -> Iterator[Finding]:
    """Find a few gray images among color images, or the reverse; blank images are skipped."""
    readable = readable[~readable["is_blank"]]
    grey = readable["is_grey"]
    for rows, color in (
        (readable[grey], "grayscale among color"),
        (readable[~grey], "color among grayscale"),
    ):
        if len(rows) < FEW * len(readable):
            sentence = f"{counted(len(rows), 'image')}: {color} images"
            yield from images_finding("other_color", "note", rows, sentence)


def class_shortcuts(readable: pd.DataFrame) -> Iterator[Finding]:
    """Find properties that predict the class, color and size, which a network would learn."""
    classes = readable.groupby("class_name", sort=False)
    grey = classes["is_grey"].mean()
    if grey.min() <= FEW and grey.max() >= 1 - FEW:
        sentence = (
            f"class {grey.idxmax()} is grayscale ({percent(grey.max())}) and class {grey.idxmin()} "
            f"in color ({percent(1 - grey.min())}): a network may learn the color instead of the "
            "content"
        )
        yield Finding("class_by_color", "matters", sentence)
    size = classes["shorter_px"].median()
    if size.max() >= OTHER_SIZE * size.min():
        sentence = (
            f"median shorter side {size.max():g} pixels in class {size.idxmax()}, {size.min():g} "
            f"in class {size.idxmin()}: after resizing, a network may learn the sharpness instead"
        )
        yield Finding("class_by_size", "matters", sentence)


def misnamed(readable: pd.DataFrame) -> list[Finding]:
    """Find files whose extension names another format than the content has."""
    formats = {end: kind for end, kind in Image.registered_extensions().items() if kind in FORMATS}
    ends = readable["path"].map(lambda path: PurePath(path).suffix.lower())
    # An MPO is a JPEG followed by a second picture; many cameras write such files.
    kinds = readable["kind"].replace({"MPO": "JPEG"})
    rows = readable[ends.isin(formats) & (ends.map(formats) != kinds) & (kinds != "")]
    sentence = f"{counted(len(rows), 'file')} with the extension of another format; read anyway"
    return images_finding("misnamed", "note", rows, sentence, "is " + rows["kind"])


def animated(readable: pd.DataFrame) -> list[Finding]:
    """Find files with several frames."""
    rows = readable[readable["is_animated"]]
    sentence = f"{counted(len(rows), 'file')} with several frames; only the first is used"
    return images_finding("animated", "note", rows, sentence)


def _sizes(rows: pd.DataFrame) -> "pd.Series[str]":
    return rows["shorter_px"].astype(str) + " x " + rows["longer_px"].astype(str) + " pixels"
