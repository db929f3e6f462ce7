"""Read the images of a folder, and judge each by a model of the others.

Unreadable and blank images and copies are excluded, as they would distort the model.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from belong.commands.check.duplicates import units
from belong.commands.check.image_properties import THUMBNAIL_PX
from belong.commands.check.image_stats import look_at_all
from belong.commands.clean import image_issues, label_issues
from belong.commands.clean.class_folders import class_folders
from belong.commands.clean.judgment import Judgment, judge, with_planted
from belong.commands.clean.manifest import Remark, manifest
from belong.commands.clean.options import CleanOptions
from belong.commands.clean.out_of_fold import Fold, Images, by_networks, by_regression, folds
from belong.commands.fit.backbone_choice import choose_backbone
from belong.commands.fit.plan import center_loss_weight, network_for, training_of
from belong.commands.fit.settings import checked_parameters, sources
from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.data.image_form import rgb_of
from belong.data.loader import pack, unread_heif
from belong.data.resize import Form
from belong.models import device as devices
from belong.models.backbones.backbone import Backbone
from belong.models.feature_cache import users_cache
from belong.models.feature_extraction import embed
from belong.models.train_classifier import TrainingOptions
from belong.parameters import ImagesSection, Parameters
from belong.runtime.errors import InputError
from belong.runtime.text import in_table, on_stderr, printable

# Minimum images of a class per fold, near duplicates counted once.
LEAST_PER_FOLD = 2


@dataclass(frozen=True)
class Job:
    """The plan of a cleaning.

    Attributes:
        folder: the folder as the user named it, for messages.
        files: the images.
        options: the options of the user.
        parameters: the defaults of params.yaml with `options.settings` applied.
        backbone: the backbone that computes the vectors; None: networks are trained from scratch.
        network: name in `belong.models.registry.NETWORKS`.
        side_px: side of the square to which every image is resized.
        why: the reason for the choice of the network, in words.
        training: the training options of a network from scratch.
    """

    folder: Path
    files: ImageFiles
    options: CleanOptions
    parameters: Parameters
    backbone: Backbone | None
    network: str
    side_px: int
    why: str
    training: TrainingOptions

    @property
    def fitted(self) -> int:
        """The maximum number of images that a judging model is fitted to."""
        return _fitted(self.files, self.options.folds)


@dataclass(frozen=True)
class Look:
    """The measurements of n files.

    Attributes:
        table: n rows: `path`, `part`, `class`.
        files: n rows, see `belong.commands.check.image_stats`.
        remarks: problems of single files.
    """

    table: pd.DataFrame
    files: pd.DataFrame
    remarks: list[Remark]


@dataclass(frozen=True)
class FolderJudgment:
    """The judgment of the n images of a folder.

    Attributes:
        table: n rows: `path`, `part`, `class`.
        remarks: all problems of the images.
        read: (k,) int64, the rows of the readable images.
        rows: (m,) int64, the rows of the judged images.
        images: the m judged images.
        judgment: the judgment of the m images.
    """

    table: pd.DataFrame
    remarks: list[Remark]
    read: np.ndarray
    rows: np.ndarray
    images: Images
    judgment: Judgment

    def manifest(self) -> pd.DataFrame:
        """Return a row for each file; see `belong.commands.clean.manifest`."""
        return manifest(self.table, self.remarks, self.rows, self.judgment.evidence)


def prepare(folder: Path, options: CleanOptions) -> Job:
    """Find the images, choose the network, and plan the training.

    Raises:
        InputError: the folder or an option is wrong.
    """
    settings = dict(options.settings)
    values = checked_parameters(sources(folder, None, settings))
    devices.compute_repeatably(values.threads, values.math)
    files = class_folders(folder)
    if missing := unread_heif(files):
        on_stderr(missing)
    backbone = choose_backbone(options.request, files, settings, values)
    network, side_px, why = network_for(files, None if backbone is None else backbone.card)
    fitted = _fitted(files, options.folds)
    training = TrainingOptions(
        lambda_=center_loss_weight(values.lambda_, settings, network=network),
        **training_of(
            values.train, settings, fitted=fitted, network=network, side_px=side_px
        ).model_dump(),
    )
    return Job(folder, files, options, values, backbone, network, side_px, why, training)


def look_at_files(job: Job) -> Look:
    """Measure each file of the folder."""
    files, images = job.files, job.parameters.images
    names = np.array(files.class_names, dtype=object)
    table = pd.DataFrame(
        {
            "path": [in_table(file) for file in files.files],
            "part": np.where(files.is_test, "test", "train"),
            "class": names[files.labels],
        }
    )
    looks = look_at_all(
        files,
        job.folder.name,
        jobs=job.options.jobs,
        max_pixels=images.max_pixels,
        background=rgb_of(images.background),
    )
    return Look(
        table, looks, list(image_issues.files(looks, least_side_px=job.options.least_side_px))
    )


def judge_folder(job: Job, look: Look) -> FolderJudgment:
    """Judge each image by a model that is fitted to other images.

    Raises:
        InputError: fewer than two classes have enough images.
    """
    files, table, looks = job.files, look.table, look.files
    data, readable_rows, unread = _pack(files, looks, job.side_px, job.parameters.images)
    rows = readable_rows[~looks["is_blank"].iloc[readable_rows].to_numpy(bool)]
    copies = image_issues.same_images(table, rows, looks["digest"].iloc[rows].to_numpy())
    rows = np.setdiff1d(rows, [one.row for one in copies])
    thumbnails = np.array(looks["thumbnail"].iloc[rows].to_list(), np.uint8)
    groups, near_copies = image_issues.near_images(
        table, rows, thumbnails.reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX)
    )
    enough = _classes_with_enough(files, rows, groups, LEAST_PER_FOLD * job.options.folds)
    is_judged = np.isin(files.labels[rows], enough)
    judged_rows = rows[is_judged]
    too_few = [
        Remark(row, "review", "too_few", "its class has too few images to be judged")
        for row in rows[~is_judged].tolist()
    ]
    images = _images(
        job,
        data.images[np.searchsorted(readable_rows, judged_rows)],
        np.searchsorted(enough, files.labels[judged_rows]),
        groups[is_judged],
        [files.class_names[label] for label in enough],
    )
    judgment = judge(images, _fit(job), knows_classes=job.backbone is None)
    remarks = [*look.remarks, *unread, *copies, *near_copies, *too_few]
    if judgment.evidence is not None:
        alarms = job.options.false_alarms
        remarks += label_issues.remarks(judgment.evidence, judged_rows, false_alarms=alarms)
    return FolderJudgment(table, remarks, readable_rows, judged_rows, images, judgment)


def _fitted(files: ImageFiles, folds: int) -> int:
    return max(1, len(files.files) * (folds - 1) // folds)


def _images(
    job: Job, pixels: np.ndarray, labels: np.ndarray, groups: np.ndarray, names: list[str]
) -> Images:
    """Draw the folds, plant scrambled images, and embed all images if there is a backbone."""
    rng = np.random.default_rng(job.parameters.seed)
    device = devices.choose(job.parameters.device)
    return with_planted(
        pixels,
        labels,
        folds(labels, groups, count=job.options.folds, rng=rng),
        names,
        embed=(lambda pixels: pixels)
        if job.backbone is None
        else partial(embed, job.backbone, device=device, cache=users_cache()),
        rng=rng,
    )


def _fit(job: Job) -> Callable[[Images], list[Fold]]:
    """Return the function that fits a model without each fold."""
    if job.backbone is not None:
        return partial(by_regression, last=job.backbone.card.sizes[-1])
    return partial(
        by_networks,
        network=job.network,
        training=job.training,
        seed=job.parameters.seed,
        device=devices.choose(job.parameters.device),
    )


def _pack(
    files: ImageFiles, looks: pd.DataFrame, side_px: int, options: ImagesSection
) -> tuple[DataSet, np.ndarray, list[Remark]]:
    """Return the images at one size, their rows, and remarks on files that became unreadable."""
    rows = np.flatnonzero(looks["reason"] == "")
    readable = replace(
        files,
        files=[files.files[row] for row in rows],
        labels=files.labels[rows],
        is_test=files.is_test[rows],
    )
    form, background = Form(side_px, side_px, "auto"), rgb_of(options.background)
    packed_images = pack(readable, form, background=background, max_pixels=options.max_pixels)
    bad = ~packed_images.is_read
    remarks = [
        Remark(row, "quarantine", "unreadable", f"cannot be read: {reason}")
        for row, (_, reason) in zip(rows[bad].tolist(), packed_images.unreadable, strict=True)
    ]
    return packed_images.data, rows[~bad], remarks


def _classes_with_enough(
    files: ImageFiles, rows: np.ndarray, groups: np.ndarray, least: int
) -> np.ndarray:
    """Return the sorted labels of the classes that can be judged."""
    first, _ = units(groups)
    counts = np.bincount(files.labels[rows[first]], minlength=len(files.class_names))
    enough = np.flatnonzero(counts >= least)
    if len(enough) < 2:
        most = files.class_names[int(counts.argmax())]
        raise InputError(
            f"{printable(files.folder)}: expected at least 2 classes of {least} images, duplicates "
            f"counted once, got at most {counts.max()} images (class {most})"
        )
    return enough
