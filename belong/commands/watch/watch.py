"""Test whether new images are still rejected as often as the model promised."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from belong.calibration.sample_size import CONDITIONAL, least_to_calibrate, rejectable
from belong.commands.arguments import DELTA
from belong.commands.watch import predictions
from belong.commands.watch.class_mix import ClassMix, class_mix, usual_classes
from belong.commands.watch.inputs import PICTURE, TABLE, Reasons, look, scored
from belong.commands.watch.stream_analysis import StreamAnalysis, analyze
from belong.commands.watch.summary import left_out, of_mix, text
from belong.data.file_discovery import Incoming
from belong.prediction.manifest import NAME, Manifest
from belong.prediction.model import DEVICES, ImagePath, Model, load_model
from belong.prediction.scoring_options import ScoringOptions
from belong.runtime.argument_names import heading, named
from belong.runtime.arguments import (
    as_path,
    check_choice,
    check_place,
    check_share,
    check_whole,
    options_or_default,
    refuse,
)
from belong.runtime.errors import InputError
from belong.runtime.storage import save_csv, whole_file
from belong.runtime.text import printable

MOST_IMAGES = 10**15  # maximum number of calibration images
SEED = 0  # for breaking ties between p-values: equal inputs give equal results


@dataclass(frozen=True)
class WatchResult:
    """The result of `belong.watch`.

    Attributes:
        images: a row for each of n images, in the order of time; columns `path`, `class`,
            `belongs`, `p_value`.
        rejected: (n,) bool.
        analysis: rejection rate, evidence and drift of all images and of each class.
        unreadable: (path, reason) of unreadable files, which are no part of the stream.
        output: the folder of the tables, or None.
        mix: comparison of the predicted classes with those of the calibration images; None if the
            model does not contain them.
    """

    images: pd.DataFrame
    rejected: np.ndarray
    analysis: StreamAnalysis
    unreadable: Reasons
    output: Path | None
    mix: ClassMix | None = None

    @property
    def is_within(self) -> bool:
        """Whether none of rejection rate, scores and classes drifts."""
        analysis = self.analysis
        return analysis.drift is None and analysis.law_drift is None and not analysis.class_drifts

    @property
    def text(self) -> str:
        """The result in several lines, as `belong watch` prints it."""
        p_values = self.images["p_value"].to_numpy()
        lines = [text(self.analysis, self.images["path"].to_list(), self.rejected, p_values)]
        if self.mix is not None:
            lines.append(of_mix(self.mix))
        if self.unreadable:
            lines.append(left_out(self.unreadable, self.output))
        return "\n".join(lines)

    def to_pandas(self) -> pd.DataFrame:
        """Return the stream in blocks over time: the table watch.csv.

        Columns: `class` (empty for all images), `first` and `last` (images, from 1 on), `images`,
        `rejected`, `rate` (0..1), `expected_low` and `expected_high` (range of the rate in 19 of
        20 blocks), `evidence` (log10).

        Example:
            >>> table = belong.watch("predictions", model="model").to_pandas()
            >>> int(table.loc[table["class"] == "", "images"].sum())
            2
        """
        return self.analysis.blocks


def watch(
    *images: ImagePath,
    model: ImagePath | Model | None = None,
    alpha: float | None = None,
    n_calibration: int | None = None,
    images_folder: ImagePath | None = None,
    delta: float = DELTA,
    output: ImagePath | None = None,
    device: str = "auto",
    options: ScoringOptions | None = None,
) -> WatchResult:
    """Test whether new images are still rejected as often as the model promised.

    Args:
        images: a folder of new images, which are scored and sorted by file time; or outputs of
            `belong score` (folders, or predictions.csv) in the order of time.
        model: the model that scores, or has scored, the images; or its folder.
        alpha: promised false-rejection rate, between 0 and 1; only without `model`.
        n_calibration: number of calibration images; only without `model`.
        images_folder: folder of the predicted images: sort the predictions by file time.
        delta: maximum probability of a false alarm, however often the result is read, between 0
            and 1.
        output: folder for watch.csv and watch.png, and for predictions.csv, unreadable.csv,
            ignored.csv and summary.json of new images. None writes nothing.
        device: "cpu", "cuda", or "auto" for a GPU if there is one; for a `model` in a folder.
        options: options for the scoring of new images.

    Returns:
        The result; `is_within` is False if the rejection rate, the scores or a class has drifted.

    Raises:
        InputError: an input is invalid, or does not fit the model.
        TooManyBadFilesError: no image of a folder can be read.
        IntegrityError: the model is damaged.

    Example:
        >>> result = belong.watch("predictions", model="model")
        >>> result.is_within, len(result.images)
        (True, 2)
        >>> print(result.text.splitlines()[1])
        No alarm: the rate is within its expected range.
        >>> belong.watch("predictions")
        Traceback (most recent call last):
        ...
        belong.runtime.errors.InputError: expected model=, or both alpha= and n_calibration=
    """
    check_share("delta", delta)
    check_choice("device", device, DEVICES)
    options = options_or_default(options, ScoringOptions)
    follow = options.follow_links
    inputs = [look(as_path("images", path), follow_links=follow) for path in images]
    if not inputs:
        raise InputError("expected a folder of images or the output of `belong score`, got none")
    folder = None if images_folder is None else as_path("images_folder", images_folder)
    to = None if output is None else as_path("output", output)
    if to is not None:
        check_place(to)
    new = [one for one in inputs if isinstance(one, Incoming)]
    _check_new(new, model, folder)
    share, n, is_cross = _promise(model, alpha, n_calibration)
    reject = partial(predictions.rejected, alpha=share, n=n)
    read = {one: predictions.read(one) for one in inputs if isinstance(one, Path)}
    uploads, unreadable = pd.DataFrame(), Reasons()
    if new:
        for rows in read.values():  # report an error in earlier predictions before scoring
            reject(rows)
        loaded = model if isinstance(model, Model) else load_model(model or "", device=device)
        uploads, unreadable = scored(new[0], loaded, to, options)
    parts = [read[one] if isinstance(one, Path) else uploads for one in inputs]
    rows = pd.concat(parts, ignore_index=True)
    if folder is not None:
        times = [predictions.time_below(folder, path) for path in rows["path"]]
        rows = predictions.by_time(rows, times)
    rejected = reject(rows)
    analysis = analyze(
        rows,
        rejected,
        alpha=share,
        n_calibration=n,
        delta=delta,
        rng=np.random.default_rng(SEED),
        is_cross=is_cross,
    )
    if to is not None:
        from belong.commands.watch.figure import over_time  # imported here: it needs matplotlib

        save_csv(to / TABLE, analysis.blocks)
        with whole_file(to / PICTURE) as part:
            over_time(analysis, alpha=share).savefig(part, format="png")
    usual = None if model is None else _usual_classes(model)
    mix = None
    if usual is not None:
        mix = class_mix(rows["class"].to_list(), usual, rng=np.random.default_rng(SEED))
    return WatchResult(rows, rejected, analysis, unreadable, to, mix)


def _usual_classes(model: ImagePath | Model) -> np.ndarray | None:
    if isinstance(model, Model):
        return usual_classes(model.absolute_folder, model.info)
    folder = as_path("model", model)
    return usual_classes(folder, Manifest.read(folder / NAME))


def _check_new(new: list[Incoming], model: ImagePath | Model | None, folder: Path | None) -> None:
    """Refuse images that cannot be scored here, and a folder of images without predictions."""
    if not new:
        return
    if len(new) > 1:
        raise InputError(
            f"{printable(new[1].top)}: expected at most one folder of images, and the outputs of "
            f"`belong score` for others, got a second folder of images"
        )
    name = printable(new[0].top)
    if model is None:
        raise InputError(f"{name}: a folder of images needs {named('model')}")
    if folder is not None:
        raise InputError(
            f"{name}: {named('images_folder')} is for predictions, not for a folder of images"
        )


def _promise(
    model: ImagePath | Model | None, alpha: float | None, n_calibration: int | None
) -> tuple[float, int, bool]:
    """Return alpha, the number of calibration images, and whether these trained the model, too."""
    is_cross = False
    if model is not None:
        if alpha is not None or n_calibration is not None:
            raise InputError(
                f"{heading('alpha')}, {heading('n_calibration')}: not allowed with "
                f"{named('model')}, which has its own"
            )
        alpha, n_calibration, is_cross = _promise_of_model(model)
    if alpha is None or n_calibration is None:
        raise InputError(
            f"expected {named('model')}, or both {named('alpha')} and {named('n_calibration')}"
        )
    check_share("alpha", alpha)
    check_whole("n_calibration", n_calibration)
    if n_calibration > MOST_IMAGES:
        refuse("n_calibration", f"at most {MOST_IMAGES}", n_calibration)
    least = least_to_calibrate(alpha)
    if n_calibration < least:
        raise InputError(
            f"{heading('n_calibration')}: expected at least {least} at alpha {alpha:g}, got "
            f"{n_calibration}"
        )
    return alpha, n_calibration, is_cross


def _promise_of_model(model: ImagePath | Model) -> tuple[float, int, bool]:
    path = (model.folder if isinstance(model, Model) else as_path("model", model)) / NAME
    if isinstance(model, Model):
        manifest = model.info
    elif path.is_file():
        manifest = Manifest.read(path)
    else:
        raise InputError(f"{path}: no such file; expected the folder of a model")
    if manifest.threshold_from != "calibrated":
        raise InputError(f"{path}: expected a calibrated threshold, got that of the paper")
    # The rejected share of p-values; for "per-class" this is the threshold of all classes.
    n, alpha = manifest.n_calibration, manifest.alpha
    if manifest.guarantee == CONDITIONAL:
        alpha = rejectable(n, alpha, CONDITIONAL) / (n + 1)
    return alpha, n, manifest.cross_conformal is not None
