"""Say of every image of a labelled folder whether to keep it, to look at it, or to put it aside.

Nothing in the folder is changed. Each image is judged by a network that was trained on others
(`belong.commands.clean.out_of_fold`); what is unreadable, blank or a copy takes no part in that.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from belong.commands.check.check import glances_of
from belong.commands.check.image_stats import THUMBNAIL_PX, Glance
from belong.commands.clean import label_issues, write_results
from belong.commands.clean.duplicate_issues import near_images, same_images
from belong.commands.clean.file_issues import files as file_remarks
from belong.commands.clean.folds import folds, units
from belong.commands.clean.issue import Remark
from belong.commands.clean.manifest import manifest
from belong.commands.clean.options import CleanOptions
from belong.commands.clean.out_of_fold import Recipe, judge
from belong.commands.fit.plan import network_for, steps
from belong.commands.fit.settings import parameters, sources
from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.data.loader import look, pack
from belong.data.resize import Form
from belong.models import device as devices
from belong.models.efficientnet import Backbone
from belong.models.feature_extraction import embed
from belong.models.pretrained import weights_from
from belong.models.train_classifier import TrainingOptions
from belong.parameters import ImagesSection, Parameters
from belong.runtime.errors import InputError, TooManyBadFilesError
from belong.runtime.text import counted, in_table, printable

DEFAULTS = CleanOptions()
# Of each class for each fold, near copies counted once: with fewer there is nothing to go by.
LEAST_PER_FOLD = 2


def clean(folder: Path, out: Path, *, options: CleanOptions = DEFAULTS) -> dict[str, Any]:
    """Write manifest.csv, suspects.html, summary.json and, if asked for, the cleaned tree.

    The network and its training are those of `belong fit`.

    Args:
        folder: class folders, as `belong.data.image_folder` takes them; nothing in it is changed.
        out: folder for the results; it is made if it is not there.
        options: all else.

    Returns:
        What summary.json holds.

    Raises:
        InputError: what is wrong with the folder or a setting; `out` is in the folder or has
            results in it; or fewer than two classes have enough images to be judged.
        TooManyBadFilesError: no image can be read; manifest.csv is written and says why.
    """
    if options.folds < 2:
        raise InputError(
            f"--folds {options.folds}: wanted at least 2: each network judges what it has not seen"
        )
    own = dict(options.settings)
    values = parameters(sources(folder, None, options.weights) | own)
    devices.compute_repeatably(values.threads)
    files = look(folder)
    if not isinstance(files, ImageFiles):
        raise InputError(
            f"{printable(folder)}: holds IDX files; wanted a folder of image files for each class"
        )
    _, side_px, why = network_for(files, has_weights=options.weights is not None)
    fitted = max(1, len(files.files) * (options.folds - 1) // options.folds)
    recipe = recipe_of(values, own, fitted)
    classes = counted(len(files.class_names), "class", "classes")
    print(  # noqa: T201
        f"{printable(folder)}: {counted(len(files.files), 'image')} of {classes}; "
        f"{why}\n{options.folds} networks, each on {fitted:,} images or fewer, "
        f"{recipe.training.epochs} passes of {recipe.training.batch_size}",
        file=sys.stderr,
    )
    backbone = None if options.weights is None else weights_from(options.weights)
    write_results.check_place(out, files.folder, overwrite=options.overwrite)
    _check_classes(files)
    device = devices.choose(values.device)
    names = np.array(files.class_names, dtype=object)
    table = pd.DataFrame(
        {
            "path": [in_table(file) for file in files.files],
            "part": np.where(files.is_test, "test", "train"),
            "class": names[files.labels],
        }
    )
    jobs, images = options.jobs or os.cpu_count() or 1, values.images
    looks = glances_of(files, files.folder, jobs, images.max_pixels, images.background_rgb)
    remarks = list(file_remarks(looks, least_side_px=options.least_side_px))
    if all(isinstance(look, str) for look in looks):
        write_results.save_manifest(out, manifest(table, remarks, np.empty(0, np.int64), None))
        raise TooManyBadFilesError(
            f"{printable(files.folder)}: none of {len(looks)} images can be read; the first: "
            f"{table['path'].iloc[0]} ({looks[0]}); {printable(out / write_results.MANIFEST)} "
            "has all"
        )
    data, read, unread = _packed(files, looks, side_px, images)
    rows, about_copies = _without_copies(table, looks, read)
    remarks += unread + about_copies
    groups, about_near = near_images(table, rows, _thumbnails(looks, rows))
    remarks += about_near
    enough = _classes_with_enough(files, rows, groups, LEAST_PER_FOLD * options.folds)
    remarks += _too_few(files, rows, enough)
    is_judged = np.isin(files.labels[rows], enough)
    judged = rows[is_judged]
    labels = np.searchsorted(enough, files.labels[judged])
    inputs = torch.from_numpy(data.images[np.searchsorted(read, judged)])
    if backbone is not None:
        inputs = embed(Backbone().loaded(backbone), inputs, device=device)
    rng = np.random.default_rng(values.seed)
    fold = folds(labels, groups[is_judged], count=options.folds, rng=rng)
    judgment = judge(
        inputs,
        torch.from_numpy(labels),
        torch.from_numpy(fold),
        list(names[enough]),
        recipe=recipe,
        seed=values.seed,
        device=device,
    )
    suspects = label_issues.suspects(judgment, labels, list(names[enough]))
    remarks += label_issues.remarks(suspects, judged, false_alarms=options.false_alarms)
    return write_results.save(
        out,
        manifest(table, remarks, judged, suspects),
        files,
        dict(zip(read.tolist(), data.images, strict=True)),
        options=options,
    )


def recipe_of(values: Parameters, settings: Mapping[str, object], fitted: int) -> Recipe:
    """Return how a network is fitted to so many images: as `belong fit` does, or as set.

    But the rate is as much smaller as the batches are (Goyal et al., Accurate, Large Minibatch
    SGD, 2017): on batches of 19 images LeNet died at 0.05, and a cleaning is of small folders too.
    """
    batch_size, epochs = steps(
        fitted, batch_size=values.train.batch_size, epochs=values.train.epochs
    )
    rate = values.train.learning_rate * batch_size / values.train.batch_size
    planned = {"batch_size": batch_size, "epochs": epochs, "learning_rate": rate}
    own = {key: value for key, value in planned.items() if f"train.{key}" not in settings}
    return Recipe(
        training=TrainingOptions(lambda_=values.lambda_, **values.train.model_dump() | own),
        **values.detectors.mahalanobis_layers.model_dump(),
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
    found: ImageFiles, looks: list[Glance | str], side_px: int, options: ImagesSection
) -> tuple[DataSet, np.ndarray, list[Remark]]:
    """Return the images in one form, and their rows; some may be gone since the look."""
    rows = np.array([row for row, look in enumerate(looks) if isinstance(look, Glance)], np.int64)
    some = replace(
        found,
        files=[found.files[row] for row in rows],
        labels=found.labels[rows],
        is_test=found.is_test[rows],
    )
    form, background = Form(side_px, side_px, "auto"), options.background_rgb
    packed = pack(some, form, background=background, max_pixels=options.max_pixels)
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
