"""Say what is wrong with a folder of images, before anything is trained on it.

Every file is decoded once, as a training would read it, and kept as a thumbnail of 256 bytes.
"""

import os
from dataclasses import asdict
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from belong.commands.check import file_findings, outlier_findings, sample_sizes
from belong.commands.check.duplicate_findings import copies
from belong.commands.check.finding import Finding
from belong.commands.check.image_stats import THUMBNAIL_PX, Glance, at_array, at_file
from belong.commands.check.options import CheckOptions
from belong.commands.check.report import Report
from belong.data.dataset import DataSet
from belong.data.decode_pool import each_image
from belong.data.image_folder import ImageFiles
from belong.data.image_reader import Rgb, UnreadableError
from belong.data.loader import look
from belong.runtime.errors import InputError
from belong.runtime.text import printable

CALIBRATION_FRACTION = 0.1  # as in params.yaml, which an installed command does not have


def check(
    folder: str | PathLike[str],
    anomalies: str | PathLike[str] | None = None,
    options: CheckOptions | None = None,
) -> Report:
    """Look at every image of a folder, and say what would spoil a training on it.

    Args:
        folder: class folders of images, or IDX files.
        anomalies: the same, or images without classes.
        options: what a training would do; the defaults of `belong check` if None.

    Returns:
        The findings, those that matter most first; `can_be_trained_on` is False if one of them
        spoils the result.

    Raises:
        InputError: there is no such folder, it is no data set, or no image in it can be read.

    Example:
        >>> report = belong.check("digits", options=belong.CheckOptions(alpha=0.2))
        >>> report.can_be_trained_on, len(report)
        (True, 3)
        >>> int(report.counts.loc["0", "train"])
        70
    """
    folder, anomalies = Path(folder), None if anomalies is None else Path(anomalies)
    return _check(folder, anomalies, options or CheckOptions())


def _check(folder: Path, anomalies: Path | None, options: CheckOptions) -> Report:
    if anomalies is not None and anomalies.resolve() == folder.resolve():
        raise InputError(f"{anomalies}: is the folder of the normal images; wanted another one")
    found = {path: look(path) for path in (folder, anomalies) if path is not None}
    tables, thumbnails = [], []
    for path, one in found.items():
        glances = glances_of(
            one, path, options.jobs or os.cpu_count() or 1, options.max_pixels, options.background
        )
        own = "" if path == folder else f"{path}/"
        table = _table(one, glances, own).assign(folder=str(path), is_anomaly=path != folder)
        if (table["reason"] != "").all():
            first = f"{table['path'].iloc[0]} ({table['reason'].iloc[0]})"
            raise InputError(f"{path}: none of {len(table)} images can be read; the first: {first}")
        tables.append(table)
        thumbnails += [glance.thumbnail for glance in glances if isinstance(glance, Glance)]
    seen = pd.concat(tables, ignore_index=True)
    # What was missing of unreadable files had made numbers of pixels fractions.
    whole = {"shorter_px": int, "longer_px": int}
    read = seen[seen["reason"] == ""].infer_objects().astype(whole)
    normal = read[~read["is_anomaly"]]
    counted = _counts(seen[~seen["is_anomaly"]])
    refused: list[Finding] = []
    alpha, calibration_fraction = options.alpha, options.calibration_fraction
    small: list[str] = []  # of which it is said once, and that is enough
    if calibration_fraction is None:
        calibration_fraction, refused = sample_sizes.as_fitted(
            counted, alpha=alpha, test_fraction=options.test_fraction, least=CALIBRATION_FRACTION
        )
        small = sample_sizes.too_small(counted)
    known = {one.name for one in refused}
    parts = sample_sizes.division(
        counted, test_fraction=options.test_fraction, calibration_fraction=calibration_fraction
    )
    trained = parts.without({*small, *(name for name, some in parts.train.items() if some < 2)})
    findings: list[Finding] = [
        *refused,
        *(
            one
            for one in sample_sizes.too_few(parts, alpha=alpha, named=small)
            if one.name not in known
        ),
        *file_findings.unreadable(seen, max_bad_fraction=options.max_bad_fraction),
        *copies(read, np.array(thumbnails).reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX)),
        *outlier_findings.blank(read),
        *sample_sizes.imbalance(trained),
        *outlier_findings.told_by_the_file(normal),
        *outlier_findings.tiny(normal),
        *outlier_findings.odd_shape(normal),
        *outlier_findings.other_color(normal),
        *sample_sizes.covariance(trained),
        *file_findings.misnamed(read),
        *file_findings.animated(read),
        *file_findings.ignored([one for path, files_ in found.items() for one in _ignored(files_)]),
    ]
    return Report.of(str(folder), counted, _counts(seen[seen["is_anomaly"]]), findings)


def glances_of(
    found: DataSet | ImageFiles, path: Path, jobs: int, max_pixels: int, background: Rgb
) -> list[Glance | str]:
    """Return for each image what a look tells, or why it cannot be read."""

    def at(row: int) -> Glance | str:
        if isinstance(found, DataSet):
            return at_array(found.images[row])
        file = found.folder / found.files[row]
        try:
            return at_file(file, max_pixels=max_pixels, background=background)
        except UnreadableError as error:
            return str(error)

    return each_image(at, len(found.labels), f"reading {path.name}", jobs=jobs)


def _table(found: DataSet | ImageFiles, glances: list[Glance | str], own: str) -> pd.DataFrame:
    """Return a row for each image; what a look tells is missing where there was none."""
    names = found.sources if isinstance(found, DataSet) else [printable(f) for f in found.files]
    told = [{} if isinstance(glance, str) else asdict(glance) for glance in glances]
    return (
        pd.DataFrame(told)
        .drop(columns="thumbnail", errors="ignore")
        .assign(
            path=[f"{own}{name}" for name in names],
            class_name=np.array(found.class_names, dtype=object)[found.labels],
            part=np.where(found.is_test, "test", "train"),
            reason=[glance if isinstance(glance, str) else "" for glance in glances],
        )
    )


def _counts(seen: pd.DataFrame) -> pd.DataFrame:
    """Return for each class its readable images in training and test, and the unreadable ones."""
    where = seen["part"].where(seen["reason"] == "", "unreadable")
    table = pd.crosstab(seen["class_name"], where)
    return table.reindex(columns=["train", "test", "unreadable"], fill_value=0)


def _ignored(found: DataSet | ImageFiles) -> list[tuple[str, str]]:
    if isinstance(found, DataSet):
        return []
    return [(printable(path), reason) for path, reason in found.ignored]
