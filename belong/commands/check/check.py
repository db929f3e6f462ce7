"""Find problems in a folder of images before training.

Every file is decoded once, as for training, and reduced to a thumbnail of 256 bytes.
"""

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from belong.commands.check import image_findings, sample_sizes
from belong.commands.check.duplicate_findings import copies
from belong.commands.check.image_stats import look_at_all
from belong.commands.check.options import CheckOptions
from belong.commands.check.report import Finding, Report
from belong.commands.fit.plan import is_small_and_grey
from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.data.loader import look, unread_heif
from belong.data.unreadable import none_readable
from belong.runtime.arguments import as_path, options_or_default
from belong.runtime.errors import InputError
from belong.runtime.text import counted, on_stderr, printable


def check(
    folder: str | PathLike[str],
    anomalies: str | PathLike[str] | None = None,
    options: CheckOptions | None = None,
) -> Report:
    """Find problems in a folder of images that would spoil the training of a model.

    Args:
        folder: one subfolder of images per class, or IDX files.
        anomalies: a folder of the same form, or of images without classes.
        options: the options of the planned training; None: the defaults of `belong check`.

    Returns:
        The findings, the most serious first; `can_be_trained_on` is False if a finding spoils the
        result.

    Raises:
        InputError: a folder is missing or is not a data set, or `anomalies` is `folder`.
        TooManyBadFilesError: no image of a folder can be read.

    Example:
        >>> report = belong.check("digits", options=belong.CheckOptions(alpha=0.2))
        >>> report.can_be_trained_on, len(report)
        (True, 3)
        >>> int(report.counts.loc["0", "train"])
        70
    """
    folder, options = as_path("folder", folder), options_or_default(options, CheckOptions)
    folders = [folder] if anomalies is None else [folder, as_path("anomalies", anomalies)]
    if len({path.resolve() for path in folders}) < len(folders):
        raise InputError(
            f"{folders[1]}: expected another folder for the anomalies, got that of the normal "
            "images"
        )
    contents = {path: look(path) for path in folders}
    if unread := unread_heif(*contents.values()):
        on_stderr(unread)
    tables = [_table(path, contents[path], options, normal=path == folder) for path in folders]
    table = pd.concat(tables, ignore_index=True)
    # Missing values of unreadable files have turned these columns into floats.
    whole = {"shorter_px": int, "longer_px": int}
    readable = table[table["reason"] == ""].infer_objects().astype(whole)
    normal = readable[~readable["is_anomaly"]]
    counts = _counts(table[~table["is_anomaly"]])
    findings = [
        *sample_sizes.findings(counts, options, is_frozen=not is_small_and_grey(contents[folder])),
        *image_findings.unreadable(table, max_bad_fraction=options.max_bad_fraction),
        *copies(readable),
        *image_findings.blank(readable),
        *image_findings.blurred(normal),
        *image_findings.badly_exposed(normal),
        *image_findings.class_shortcuts(normal),
        *image_findings.tiny(normal),
        *image_findings.odd_shape(normal),
        *image_findings.other_color(normal),
        *image_findings.misnamed(readable),
        *image_findings.broken_profile(readable),
        *image_findings.animated(readable),
        *_ignored(contents.values()),
    ]
    sources = {
        name: source
        for path in folders
        for name, source in zip(
            _names(path, contents[path], normal=path == folder),
            _sources(contents[path]),
            strict=True,
        )
    }
    return Report.of(str(folder), counts, _counts(table[table["is_anomaly"]]), findings, sources)


def _names(path: Path, images: DataSet | ImageFiles, *, normal: bool) -> list[str]:
    """Return the names of the images; names of anomalies start with their folder."""
    start = "" if normal else f"{path}/"
    names = images.sources if isinstance(images, DataSet) else [printable(f) for f in images.files]
    return [f"{start}{name}" for name in names]


def _sources(images: DataSet | ImageFiles) -> Sequence[Path | np.ndarray]:
    return list(images.images) if isinstance(images, DataSet) else images.paths


def _table(
    path: Path, images: DataSet | ImageFiles, options: CheckOptions, *, normal: bool
) -> pd.DataFrame:
    """Return a row for each image of a folder."""
    table = look_at_all(
        images,
        path.name,
        jobs=options.jobs,
        max_pixels=options.max_pixels,
        background=options.background,
    ).assign(
        path=_names(path, images, normal=normal),
        class_name=np.array(images.class_names, dtype=object)[images.labels],
        part=np.where(images.is_test, "test", "train"),
        folder=str(path),
        is_anomaly=not normal,
    )
    if (table["reason"] != "").all():
        raise none_readable(path, list(zip(table["path"], table["reason"], strict=True)))
    return table


def _counts(images: pd.DataFrame) -> pd.DataFrame:
    """Count the readable training and test images, and the unreadable images, of each class."""
    part = images["part"].where(images["reason"] == "", "unreadable")
    table = pd.crosstab(images["class_name"], part)
    return table.reindex(columns=["train", "test", "unreadable"], fill_value=0)


def _ignored(image_sets: Iterable[DataSet | ImageFiles]) -> list[Finding]:
    """Find files that are hidden or are not images."""
    paths = [
        (printable(path), reason)
        for one in image_sets
        if isinstance(one, ImageFiles)
        for path, reason in one.ignored
    ]
    files = counted(len(paths), "file or folder", "files or folders")
    sentence = f"{files} skipped: hidden, or not an image"
    return [Finding("ignored", "note", sentence, paths)] if paths else []
