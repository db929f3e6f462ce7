"""Say of every image of a labelled folder whether to keep it, to look at it, or to put it aside.

Nothing in the folder is changed. Each image is judged by a network that was trained on others
(`belong.commands.clean.out_of_fold`); what is unreadable, blank or a copy takes no part in that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from belong.commands.check.check import glances_of
from belong.commands.check.image_stats import THUMBNAIL_PX, Glance
from belong.commands.clean import label_issues, write_results
from belong.commands.clean.cleaned_tree import Tree
from belong.commands.clean.duplicate_issues import near_images, same_images
from belong.commands.clean.file_issues import files
from belong.commands.clean.folds import folds, units
from belong.commands.clean.issue import Remark
from belong.commands.clean.manifest import manifest
from belong.commands.clean.out_of_fold import Recipe, judge
from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.data.image_reader import Rgb
from belong.data.loader import pack
from belong.data.resize import Form
from belong.models import device
from belong.models.efficientnet import Backbone
from belong.models.feature_extraction import embed
from belong.runtime.errors import InputError, TooManyBadFilesError
from belong.runtime.text import in_table, printable

FOLDS = 5  # four fifths of the images train each network


FALSE_ALARMS = 0.05


# Of each class for each fold, near copies counted once: with fewer there is nothing to go by.
LEAST_PER_FOLD = 2


@dataclass(frozen=True)
class Reading:
    """How files are read.

    Attributes:
        side_px: of the square that every image becomes.
        least_side_px: an image whose shorter side is smaller is tiny; None: smaller than a
            quarter of the median of the folder.
        max_pixels: larger images are unreadable.
        background: lies below transparent parts.
        jobs: threads that look.
    """

    side_px: int
    least_side_px: int | None
    max_pixels: int
    background: Rgb
    jobs: int


def clean(
    found: ImageFiles,
    out: Path,
    *,
    reading: Reading,
    recipe: Recipe,
    backbone: Mapping[str, np.ndarray] | None,
    fold_count: int,
    false_alarms: float,
    tree: Tree | None,
    with_review: bool,
    overwrite: bool,
    seed: int,
    device_name: str,
) -> dict[str, Any]:
    """Write manifest.csv, suspects.html, summary.json and, if asked for, the cleaned tree.

    Args:
        found: the files, as `belong.data.image_folder.list_images` lists them.
        out: folder for the results; it is made if it is not there.
        reading: how the files are read.
        recipe: how networks and Gaussians are fitted.
        backbone: weights of EfficientNet-B0, which stay as they are; None trains a LeNet.
        fold_count: networks, each of which judges the images that it has not seen.
        false_alarms: the share of right images, on average, among those that are put aside as
            wrong or foreign.
        tree: whether `out/cleaned` is built, of links or of copies.
        with_review: whether the images that somebody should look at are in it too.
        overwrite: whether the results of another run may be replaced.
        seed: draws folds, weights and orders.
        device_name: see `belong.models.device.choose`.

    Returns:
        What summary.json holds.

    Raises:
        InputError: `out` is in the folder or has results in it; or fewer than two classes have
            enough images to be judged.
        TooManyBadFilesError: no image can be read; manifest.csv is written and says why.
    """
    write_results.check_place(out, found.folder, overwrite=overwrite)
    _check_classes(found)
    place = device.choose(device_name)
    names = np.array(found.class_names, dtype=object)
    table = pd.DataFrame(
        {
            "path": [in_table(file) for file in found.files],
            "part": np.where(found.is_test, "test", "train"),
            "class": names[found.labels],
        }
    )
    looks = glances_of(found, found.folder, reading.jobs, reading.max_pixels, reading.background)
    remarks = list(files(looks, least_side_px=reading.least_side_px))
    if all(isinstance(look, str) for look in looks):
        write_results.save_manifest(out, manifest(table, remarks, np.empty(0, np.int64), None))
        raise TooManyBadFilesError(
            f"{printable(found.folder)}: none of {len(looks)} images can be read; the first: "
            f"{table['path'].iloc[0]} ({looks[0]}); {printable(out / write_results.MANIFEST)} "
            "has all"
        )
    data, read, unread = _packed(found, looks, reading)
    rows, about_copies = _without_copies(table, looks, read)
    remarks += unread + about_copies
    groups, about_near = near_images(table, rows, _thumbnails(looks, rows))
    remarks += about_near
    enough = _classes_with_enough(found, rows, groups, LEAST_PER_FOLD * fold_count)
    remarks += _too_few(found, rows, enough)
    is_judged = np.isin(found.labels[rows], enough)
    judged = rows[is_judged]
    labels = np.searchsorted(enough, found.labels[judged])
    inputs = torch.from_numpy(data.images[np.searchsorted(read, judged)])
    if backbone is not None:
        inputs = embed(Backbone().loaded(dict(backbone)), inputs, place=place)
    fold = folds(labels, groups[is_judged], count=fold_count, rng=np.random.default_rng(seed))
    said = judge(
        inputs,
        torch.from_numpy(labels),
        torch.from_numpy(fold),
        list(names[enough]),
        recipe=recipe,
        seed=seed,
        place=place,
    )
    known = label_issues.suspects(said, labels, list(names[enough]))
    remarks += label_issues.remarks(known, judged, false_alarms=false_alarms)
    made = manifest(table, remarks, judged, known)
    return write_results.save(
        out,
        made,
        found,
        dict(zip(read.tolist(), data.images, strict=True)),
        false_alarms=false_alarms,
        fold_count=fold_count,
        tree=tree,
        with_review=with_review,
    )


def _check_classes(found: ImageFiles) -> None:
    if len(found.class_names) < 2:
        raise InputError(
            f"{printable(found.folder)}: has one class, {found.class_names[0]}; wanted at least 2: "
            f"a folder for each class"
        )


def _without_copies(
    table: pd.DataFrame, looks: list[Glance | str], read: np.ndarray
) -> tuple[np.ndarray, list[Remark]]:
    """Return the rows that can be learned from: not blank, and no copies of each other."""
    seen = {
        row: look
        for row in read.tolist()
        if isinstance(look := looks[row], Glance) and not look.is_blank
    }
    rows = np.array(list(seen), np.int64)
    remarks = same_images(table, rows, np.array([look.digest for look in seen.values()], object))
    return np.setdiff1d(rows, [one.row for one in remarks]), remarks


def _packed(
    found: ImageFiles, looks: list[Glance | str], reading: Reading
) -> tuple[DataSet, np.ndarray, list[Remark]]:
    """Return the images in one form, and their rows; some may be gone since the look."""
    rows = np.array([row for row, look in enumerate(looks) if isinstance(look, Glance)], np.int64)
    some = replace(
        found,
        files=[found.files[row] for row in rows],
        labels=found.labels[rows],
        is_test=found.is_test[rows],
    )
    form = Form(reading.side_px, reading.side_px, "auto")
    packed = pack(some, form, background=reading.background, max_pixels=reading.max_pixels)
    why = dict(packed.unreadable)
    bad = np.array([printable(file) in why for file in some.files], bool)
    remarks = [
        Remark(row, "quarantine", "unreadable", f"cannot be read: {reason}")
        for row, reason in zip(rows[bad].tolist(), why.values(), strict=True)
    ]
    return packed.data, rows[~bad], remarks


def _thumbnails(looks: list[Glance | str], rows: np.ndarray) -> np.ndarray:
    shown = [look.thumbnail for row in rows if isinstance(look := looks[row], Glance)]
    return np.array(shown, np.uint8).reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX)


def _classes_with_enough(
    found: ImageFiles, rows: np.ndarray, groups: np.ndarray, least: int
) -> np.ndarray:
    """Return the labels of the classes that can be judged, rising."""
    first, _ = units(groups)
    counts = np.bincount(found.labels[rows[first]], minlength=len(found.class_names))
    enough = np.flatnonzero(counts >= least)
    if len(enough) < 2:
        most = found.class_names[int(counts.argmax())]
        raise InputError(
            f"{printable(found.folder)}: wanted at least {least} images, copies counted once, in "
            f"each of 2 classes; class {most} has the most, {counts.max()}"
        )
    return enough


def _too_few(found: ImageFiles, rows: np.ndarray, enough: np.ndarray) -> list[Remark]:
    """Remark on the images of the other classes, which are not judged."""
    return [
        Remark(row, "review", "too_few", "its class has too few images to judge them by")
        for row in rows[~np.isin(found.labels[rows], enough)].tolist()
    ]
