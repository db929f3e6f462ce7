"""Say of every image of a labelled folder whether to keep it, to look at it, or to put it aside.

Nothing in the folder is changed. Each image is judged by what was fitted to others
(`belong.commands.clean.out_of_fold`); what is unreadable, blank or a copy takes no part in that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from belong.commands.check.duplicates import units
from belong.commands.check.image_stats import THUMBNAIL_PX, look_at_all
from belong.commands.clean import image_issues, label_issues, write_results
from belong.commands.clean.judgment import judge, with_planted
from belong.commands.clean.manifest import Remark, manifest
from belong.commands.clean.options import CleanOptions
from belong.commands.clean.out_of_fold import by_networks, by_regression, folds
from belong.commands.clean.sight import refusals
from belong.commands.clean.time_estimate import estimate
from belong.commands.fit.backbone_choice import choose_backbone
from belong.commands.fit.plan import center_loss_weight, network_for, training_of
from belong.commands.fit.settings import parameters, sources
from belong.commands.fit.time_estimate import in_words
from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.data.loader import look, pack, unread_heif
from belong.data.resize import Form
from belong.models import device as devices
from belong.models.feature_cache import users_cache
from belong.models.feature_extraction import embed
from belong.models.train_classifier import TrainingOptions
from belong.parameters import ImagesSection
from belong.runtime.arguments import as_path, check_place, options_or_default
from belong.runtime.errors import InputError, TooManyBadFilesError
from belong.runtime.storage import load_csv, save_csv
from belong.runtime.text import counted, in_table, on_stderr, printable

# Of each class for each fold, near copies counted once: with fewer there is nothing to go by.
LEAST_PER_FOLD = 2


@dataclass(frozen=True)
class CleanResult:
    """The verdicts on the images of a folder.

    Attributes:
        output: the folder of manifest.csv, suspects.html and summary.json.
        summary: the content of summary.json: the counts, and how well the images could be judged.
    """

    output: Path
    summary: Mapping[str, Any]

    @property
    def refusals(self) -> list[str]:
        """Why nothing is said about labels, or about foreign images; empty if all is judged."""
        return refusals(self.summary["sight"])

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each image, as text: the table manifest.csv.

        Example:
            >>> options = belong.CleanOptions(folds=2, settings={"train.epochs": 1})
            >>> result = belong.clean("digits", "cleaned", options)
            >>> result.to_pandas()["class"].unique().tolist()
            ['0', '1']
        """
        return load_csv(self.output / write_results.MANIFEST, as_text=True)


@devices.callers_settings()
def clean(
    folder: str | PathLike[str],
    output: str | PathLike[str],
    options: CleanOptions | None = None,
) -> CleanResult:
    """Find the images of a labeled folder that are mislabeled, foreign, copies or unreadable.

    Each image is scored by what was fitted without it. Nothing in `folder` is changed. Where the
    images cannot be judged well enough, `refusals` of the result says why nothing is said of them.

    Args:
        folder: a folder of images for each class in it.
        output: folder for manifest.csv, suspects.html, summary.json and the tree `cleaned`.
        options: the folds, the tree and other choices; the defaults of `belong clean` if None.

    Returns:
        The verdict for each image.

    Raises:
        InputError: the folder, `output` or an option is wrong.
        TooManyBadFilesError: no image can be read.

    Example:
        >>> options = belong.CleanOptions(folds=2, settings={"train.epochs": 1})
        >>> result = belong.clean("digits", "cleaned", options)
        >>> len(result.to_pandas()), sorted(path.name for path in result.output.iterdir())
        (140, ['manifest.csv', 'summary.json', 'suspects.html'])
    """
    folder, output = as_path("folder", folder), as_path("output", output)
    options = options_or_default(options, CleanOptions)
    check_place(output)
    own = dict(options.settings)
    values = parameters(sources(folder, None, own))
    devices.compute_repeatably(values.threads, values.math)
    files = look(folder)
    if not isinstance(files, ImageFiles):
        raise InputError(
            f"{printable(folder)}: holds IDX files; wanted a folder of image files for each class"
        )
    if missing := unread_heif(files):
        on_stderr(missing)
    backbone = choose_backbone(options.request, files, own, values)
    network, side_px, why = network_for(files, None if backbone is None else backbone.card)
    fitted = max(1, len(files.files) * (options.folds - 1) // options.folds)
    training = TrainingOptions(
        lambda_=center_loss_weight(values.lambda_, own, network=network),
        **training_of(
            values.train, own, fitted=fitted, network=network, side_px=side_px
        ).model_dump(),
    )
    write_results.check_place(output, files.folder, overwrite=options.overwrite)
    if len(files.class_names) < 2:
        raise InputError(
            f"{printable(folder)}: has one class, {files.class_names[0]}; wanted at least 2: a "
            f"folder for each class"
        )
    seconds = estimate(
        files,
        folds=options.folds,
        network=network,
        side_px=side_px,
        training=training,
        values=values,
        backbone=backbone,
    )
    passes = f", {training.epochs} passes of {training.batch_size}" if backbone is None else ""
    _tell(folder, files, why, in_words(seconds), folds=options.folds, fitted=fitted, passes=passes)
    device = devices.choose(values.device)
    names = np.array(files.class_names, dtype=object)
    table = pd.DataFrame(
        {
            "path": [in_table(file) for file in files.files],
            "part": np.where(files.is_test, "test", "train"),
            "class": names[files.labels],
        }
    )
    images = values.images
    looks = look_at_all(
        files,
        folder.name,
        jobs=options.jobs,
        max_pixels=images.max_pixels,
        background=images.background_rgb,
    )
    remarks = list(image_issues.files(looks, least_side_px=options.least_side_px))
    if looks["reason"].all():
        none = np.empty(0, np.int64)
        save_csv(output / write_results.MANIFEST, manifest(table, remarks, none, None))
        raise TooManyBadFilesError(
            f"{printable(folder)}: none of {len(looks)} images can be read; the first: "
            f"{table['path'].iloc[0]} ({looks['reason'].iloc[0]}); "
            f"{printable(output / write_results.MANIFEST)} has all"
        )
    data, read, unread = _packed(files, looks, side_px, images)
    rows = read[~looks["is_blank"].iloc[read].to_numpy(bool)]
    copies = image_issues.same_images(table, rows, looks["digest"].iloc[rows].to_numpy())
    rows = np.setdiff1d(rows, [one.row for one in copies])
    thumbnails = np.array(looks["thumbnail"].iloc[rows].to_list(), np.uint8)
    groups, near_copies = image_issues.near_images(
        table, rows, thumbnails.reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX)
    )
    remarks += unread + copies + near_copies
    enough = _classes_with_enough(files, rows, groups, LEAST_PER_FOLD * options.folds)
    is_judged = np.isin(files.labels[rows], enough)
    judged = rows[is_judged]
    remarks += [
        Remark(row, "review", "too_few", "its class has too few images to judge them by")
        for row in rows[~is_judged].tolist()
    ]
    labels = np.searchsorted(enough, files.labels[judged])
    rng = np.random.default_rng(values.seed)
    images_of_folds = with_planted(
        data.images[np.searchsorted(read, judged)],
        labels,
        folds(labels, groups[is_judged], count=options.folds, rng=rng),
        list(names[enough]),
        embed=(lambda pixels: pixels)
        if backbone is None
        else partial(embed, backbone, device=device, cache=users_cache()),
        rng=rng,
    )
    fit = (
        partial(by_networks, network=network, training=training, seed=values.seed, device=device)
        if backbone is None
        else partial(by_regression, last=backbone.card.sizes[-1])
    )
    judgment = judge(images_of_folds, fit, knows_classes=backbone is None)
    if judgment.known is not None:
        remarks += label_issues.remarks(judgment.known, judged, false_alarms=options.false_alarms)
    summary = write_results.save(
        output,
        manifest(table, remarks, judged, judgment.known),
        files,
        read.tolist(),
        options=options,
        sight=judgment.sight,
    )
    return CleanResult(output, summary)


def _tell(
    folder: Path,
    files: ImageFiles,
    why: str,
    time: str,
    *,
    folds: int,
    fitted: int,
    passes: str,
) -> None:
    """Print what will be done, and how long it will take."""
    classes = counted(len(files.class_names), "class", "classes")
    on_stderr(
        f"{printable(folder)}: {counted(len(files.files), 'image')} of {classes}; {why}\n"
        f"{folds} folds: each is judged by what is fitted to the {fitted:,} images or fewer "
        f"of the others{passes}\n"
        f"time: {time}, if the machine stays as busy as it is"
    )


def _packed(
    found: ImageFiles, looks: pd.DataFrame, side_px: int, options: ImagesSection
) -> tuple[DataSet, np.ndarray, list[Remark]]:
    """Return the images in one form, and their rows; some may be gone since the look."""
    rows = np.flatnonzero(looks["reason"] == "")
    some = replace(
        found,
        files=[found.files[row] for row in rows],
        labels=found.labels[rows],
        is_test=found.is_test[rows],
    )
    form, background = Form(side_px, side_px, "auto"), options.background_rgb
    packed = pack(some, form, background=background, max_pixels=options.max_pixels)
    bad = ~packed.is_read
    remarks = [
        Remark(row, "quarantine", "unreadable", f"cannot be read: {reason}")
        for row, (_, reason) in zip(rows[bad].tolist(), packed.unreadable, strict=True)
    ]
    return packed.data, rows[~bad], remarks


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
