"""Find the images of a labeled folder that are mislabeled, foreign, copies or unreadable.

Nothing in the folder is changed. Each image is judged by a model that was fitted without it
(`belong.commands.clean.folder_judgment`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from belong.commands.clean import write_results
from belong.commands.clean.folder_judgment import Job, Look, judge_folder, look_at_files, prepare
from belong.commands.clean.manifest import manifest
from belong.commands.clean.options import CleanOptions
from belong.commands.clean.reliability import refusals
from belong.commands.clean.time_estimate import estimate
from belong.commands.fit.time_estimate import in_words
from belong.data.unreadable import none_readable
from belong.models import device as devices
from belong.runtime.arguments import as_path, check_place, options_or_default
from belong.runtime.errors import TooManyBadFilesError
from belong.runtime.storage import load_csv, save_csv
from belong.runtime.text import counted, on_stderr, printable


@dataclass(frozen=True)
class CleanResult:
    """The verdicts on the images of a folder.

    Attributes:
        output: the folder of manifest.csv, suspects.html and summary.json.
        summary: the content of summary.json: the counts, and the quality of the judgment.
    """

    output: Path
    summary: Mapping[str, Any]

    @property
    def refusals(self) -> list[str]:
        """The reasons why labels or foreign images are not judged; empty if both are judged."""
        return refusals(self.summary["reliability"])

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

    Each image is scored by a model that was fitted without it. Nothing in `folder` is changed. If
    labels or foreign images cannot be judged well enough, `refusals` of the result has the reasons.

    Args:
        folder: a folder with one subfolder of images per class.
        output: folder for manifest.csv, suspects.html, summary.json and the tree `cleaned`.
        options: the options; None: the defaults of `belong clean`.

    Returns:
        The verdict for each image.

    Raises:
        InputError: the folder, `output` or an option is wrong, or fewer than two classes have
            enough images.
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
    job = prepare(folder, options)
    write_results.check_place(output, job.files.folder, overwrite=options.overwrite)
    _tell(job)
    look = look_at_files(job)
    if look.files["reason"].all():
        raise _none_read(job, look, output)
    result = judge_folder(job, look)
    summary = write_results.save(
        output,
        result.manifest(),
        job.files,
        result.read.tolist(),
        options=options,
        reliability=result.judgment.reliability,
    )
    return CleanResult(output, summary)


def _tell(job: Job) -> None:
    """Print the plan and the estimated time."""
    files, folds, training = job.files, job.options.folds, job.training
    seconds = estimate(
        files,
        folds=folds,
        network=job.network,
        side_px=job.side_px,
        training=training,
        values=job.parameters,
        backbone=job.backbone,
    )
    passes = ""
    if job.backbone is None:
        passes = f", in {training.epochs} epochs with batches of {training.batch_size}"
    classes = counted(len(files.class_names), "class", "classes")
    on_stderr(
        f"{printable(job.folder)}: {counted(len(files.files), 'image')} of {classes}; {job.why}\n"
        f"{folds} folds: each fold is judged by a model trained on the other folds, on at most "
        f"{job.fitted:,} images{passes}\n"
        f"estimated time: {in_words(seconds)}, at the current load of the machine"
    )


def _none_read(job: Job, look: Look, output: Path) -> TooManyBadFilesError:
    """Save the manifest, and return the error that no image can be read."""
    table, none = look.table, np.empty(0, np.int64)
    save_csv(output / write_results.MANIFEST, manifest(table, look.remarks, none, None))
    bad = list(zip(table["path"], look.files["reason"], strict=True))
    return none_readable(job.folder, bad, listed=output / write_results.MANIFEST)
