"""Check that there are enough images to train, to fit detectors, and to calibrate a threshold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from belong.calibration.conformal import promised_range
from belong.calibration.cross_conformal import FOLDS
from belong.calibration.sample_size import least_held_out, least_to_calibrate
from belong.commands.check.options import CheckOptions
from belong.commands.check.report import Finding
from belong.commands.fit import plan
from belong.commands.fit.settings import parameters
from belong.data.dataset import DataSet, draw_count
from belong.runtime.errors import InputError
from belong.runtime.text import counted, percent, percent_of

DEFAULT_ALPHA = 0.025  # of params.yaml
# Minimum images of a class per feature for a covariance per class, and features of each network:
# copies of values in belong.detectors and belong.models, which import torch; a test compares them.
PER_CLASS = 5
FEATURES = {"lenet": 84, "the layer on a backbone": 128}
# A rule of thumb: the images of a smaller class are memorized.
LEAST_TO_TRAIN = 50
IMBALANCE = 10


@dataclass(frozen=True)
class Training:
    """How `belong fit` divides a folder.

    Attributes:
        calibration: "split", or "cross" if all images train and calibrate.
        alpha: promised false-rejection rate.
        calibration_fraction: calibration share of each class; of "split".
        small: the classes with too few images.
        refused: the findings that stop it.
    """

    calibration: plan.Calibration
    alpha: float
    calibration_fraction: float
    small: list[str]
    refused: list[Finding]


def findings(counts: pd.DataFrame, options: CheckOptions, *, is_frozen: bool) -> list[Finding]:
    """Return the findings about the numbers of images.

    Args:
        counts: index: the classes; columns `train` and `test`: readable images.
        options: the options of the planned training.
        is_frozen: whether `belong fit` takes a frozen backbone for these images.
    """
    if options.calibration_fraction is None:
        training = as_fitted(counts, options, is_frozen=is_frozen)
    else:
        alpha = DEFAULT_ALPHA if options.alpha is None else options.alpha
        training = Training("split", alpha, options.calibration_fraction, [], [])
    if training.calibration == "cross":
        parts = counts[["train", "test"]].assign(calibration=counts["train"])
    else:
        parts = division(
            counts,
            test_fraction=options.test_fraction,
            calibration_fraction=training.calibration_fraction,
        )
    reported = {one.name for one in training.refused}
    few = [one for one in too_few(parts, training) if one.name not in reported]
    # Reported once; further findings skip the small classes.
    trained = parts.drop(training.small).query("train >= 2")
    return [
        *training.refused,
        *_one_class(parts, options),
        *few,
        *imbalance(trained),
        *covariance(trained),
    ]


def _one_class(parts: pd.DataFrame, options: CheckOptions) -> Iterator[Finding]:
    """Report a single class, which `belong fit` accepts and a fixed calibration share does not."""
    if len(parts) > 1:
        return
    if options.calibration_fraction is None:
        sentence = (
            f"one class ({parts.index[0]}): the model decides which images belong, without "
            "predicting classes"
        )
        yield Finding("one_class", "note", sentence)
    else:
        sentence = f"expected at least 2 classes, got one, {parts.index[0]}"
        yield Finding("one_class", "spoils", sentence)


def division(
    counts: pd.DataFrame, *, test_fraction: float, calibration_fraction: float
) -> pd.DataFrame:
    """Return the number of images of each class in each part, as `belong.data.splits` divides them.

    Args:
        counts: as in `findings`.
        test_fraction: test share of each class, if there is no test part.
        calibration_fraction: calibration share of the other images of each class.

    Returns:
        Index: the classes; columns `train`, `calibration`, `test`.
    """
    test, train = counts["test"], counts["train"]
    if not test.any():
        test = train.map(lambda images: draw_count(images, test_fraction))
        train = train - test
    calibration = train.map(lambda images: draw_count(images, calibration_fraction))
    return pd.DataFrame({"train": train - calibration, "calibration": calibration, "test": test})


def as_fitted(counts: pd.DataFrame, options: CheckOptions, *, is_frozen: bool) -> Training:
    """Return how `belong fit` divides the images, and what stops it.

    The arguments are those of `findings`.
    """
    values, refused = parameters({}), list[Finding]()
    split = values.split.model_copy(update={"test_fraction": options.test_fraction})
    alpha = DEFAULT_ALPHA if options.alpha is None else options.alpha
    kind: plan.Calibration = "split"
    share = plan.least_share(len(counts), split)
    try:
        kind, alpha = plan.choose_calibration(
            _placeholder(counts),
            requested="auto",
            alpha=alpha,
            own_alpha=options.alpha is not None,
            is_frozen=is_frozen,
            split=split,
        )
        if kind == "split":
            trained = counts["train"].tolist()
            if not counts["test"].any():
                trained = plan.without_test(trained, options.test_fraction)
            share = plan.held_out(trained, alpha=alpha, least=share)
    except InputError as error:
        refused.append(Finding("too_few_to_calibrate", "spoils", str(error)))
    least = plan.LEAST_IMAGES_CROSS if kind == "cross" else plan.LEAST_IMAGES
    small = counts.index[counts["train"] < least].to_list()
    if small:
        sentence = f"{_of(small)}: fewer than {least} training images; `belong fit` stops"
        refused.insert(0, Finding("too_few_to_fit", "spoils", sentence))
    return Training(kind, alpha, share, small, refused)


def _placeholder(counts: pd.DataFrame) -> DataSet:
    """Return a data set with these numbers of images and no pixels, which `plan` can count."""
    train, test = counts["train"].to_numpy(), counts["test"].to_numpy()
    labels = np.tile(np.arange(len(counts)), 2).repeat(np.concatenate([train, test]))
    return DataSet(
        images=np.empty((len(labels), 1, 1, 1), np.uint8),
        labels=labels,
        class_names=tuple(map(str, counts.index)),
        is_test=np.arange(len(labels)) >= train.sum(),
        sources=np.empty(len(labels), str),
    )


def too_few(parts: pd.DataFrame, training: Training) -> Iterator[Finding]:
    """Find classes and parts with too few images to train, fit or calibrate.

    Args:
        parts: the division of the images: index: the classes; columns `train`, `calibration`,
            `test`.
        training: how `belong fit` divides the images; its small classes already have a finding.
    """
    remaining = parts.drop(index=training.small)
    is_cross = training.calibration == "cross"
    for part, name, least in (
        ("train", "training", 2),
        ("calibration", "calibration", 1),
        ("test", "test", 0 if is_cross else 1),
    ):
        few = remaining.index[remaining[part] < least]
        if len(few):
            sentence = f"{_of(few)}: fewer than {counted(least, f'{name} image')}; training stops"
            yield Finding("too_few_to_divide", "spoils", sentence)
            remaining = remaining.drop(few)
    few = remaining.index[remaining["train"] < LEAST_TO_TRAIN]
    if len(few):
        sentence = (
            f"{_of(few)}: fewer than {LEAST_TO_TRAIN} training images, "
            f"{remaining['train'].min()} in the smallest class; the network may memorize them"
        )
        yield Finding("few_to_train", "matters", sentence)
    yield from _to_calibrate(parts["calibration"], training.alpha, is_cross=is_cross)


def _to_calibrate(
    calibration: "pd.Series[int]", alpha: float, *, is_cross: bool
) -> Iterator[Finding]:
    n, least = int(calibration.sum()), least_to_calibrate(alpha)
    at = f"at alpha {alpha:g}"
    images = counted(n, "calibration image")
    if is_cross:
        images = f"cross-conformal calibration ({FOLDS} folds, {counted(n, 'image')})"
    if n < least:
        sentence = f"{images}; {at} a threshold needs at least {least} to reject any image"
        yield Finding("too_few_to_calibrate", "spoils", sentence)
        return
    low, high = promised_range(n, 10_000, alpha=alpha, is_cross=is_cross)
    sentence = (
        f"{images}: on average, at most {percent_of(alpha)} of new normal images will be rejected; "
        f"in 19 of 20 calibrations, {percent(low)} to {percent(high)}"
    )
    is_broad = high > 2 * alpha
    if is_broad:
        sentence += "; more images narrow this range"
    yield Finding("promise", "matters" if is_broad else "note", sentence)
    least_count = least_held_out(alpha)
    if n < least_count and not is_cross:
        sentence = (
            f"{images}; {at} the detector `combined` needs {least_count}, as only one half sets "
            f"the threshold"
        )
        yield Finding("too_few_for_combined", "matters", sentence)
    few = calibration.index[calibration < least]
    if len(few):
        sentence = (
            f"{_of(few)}: fewer than {least} calibration images, the minimum for a threshold per "
            f"class {at}; the promised rate holds only for all classes together"
        )
        yield Finding("too_few_per_class", "note", sentence)


def covariance(parts: pd.DataFrame) -> Iterator[Finding]:
    """Report if a class has too few images for a covariance of its own."""
    least = int(parts["train"].min()) if len(parts) else 0
    sizes = {network: PER_CLASS * d for network, d in FEATURES.items()}
    few = [f"{count:,} with {name}" for name, count in sizes.items() if least < count]
    if least and few:
        sentence = (
            f"{counted(least, 'training image')} in the smallest class: a covariance matrix for "
            f"each class needs more ({' or '.join(few)}), so it will be shrunk or shared by all "
            "classes"
        )
        yield Finding("covariance", "note", sentence)


def imbalance(parts: pd.DataFrame) -> Iterator[Finding]:
    """Find classes that are much larger than others."""
    train = parts["train"]
    if len(train) and train.max() >= IMBALANCE * max(1, train.min()):
        sentence = (
            f"class {train.idxmax()} has {train.max():,} training images and class "
            f"{train.idxmin()} {train.min():,}: images of small classes may be predicted as large "
            f"ones"
        )
        yield Finding("imbalance", "matters", sentence)


def _of(names: "Sequence[str] | pd.Index[str]") -> str:
    text = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{counted(len(names), 'class', 'classes')} ({text})"
