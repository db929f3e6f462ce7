"""Whether there are enough images: to train, to fit, to set a threshold that keeps its promise."""

from collections.abc import Collection, Iterator, Sequence

import pandas as pd

from belong.calibration.conformal import promised_range
from belong.calibration.sample_size import least_held_out, least_to_calibrate
from belong.commands.check.options import CheckOptions
from belong.commands.check.report import Finding
from belong.commands.fit import plan
from belong.data.dataset import drawn
from belong.runtime.errors import InputError
from belong.runtime.text import counted

CALIBRATION_FRACTION = 0.1  # as in params.yaml, which an installed command does not have
# Images of a class for each feature, from which a covariance of its own is fitted; and features of
# each network (belong/detectors/covariance.py and belong/networks say the same; they take torch
# and seconds to import, so that a test holds these to them).
PER_CLASS = 5
FEATURES = {"lenet": 84, "the layer on a backbone": 128}
# A rule of thumb, no more: below, a class is learned by heart.
LEAST_TO_TRAIN = 50
IMBALANCE = 10


def findings(counts: pd.DataFrame, options: CheckOptions) -> list[Finding]:
    """Return all that is to be said of the numbers of images.

    Args:
        counts: index: the classes; columns `train` and `test`, images that can be read.
        options: what a training would do.
    """
    refused: list[Finding] = []
    calibration_fraction, small = options.calibration_fraction, list[str]()
    if calibration_fraction is None:
        calibration_fraction, refused = as_fitted(
            counts,
            alpha=options.alpha,
            test_fraction=options.test_fraction,
            least=CALIBRATION_FRACTION,
        )
        small = too_small(counts)  # it is said once that they are, and that is enough
    parts = division(
        counts, test_fraction=options.test_fraction, calibration_fraction=calibration_fraction
    )
    known = {one.name for one in refused}
    few = [one for one in too_few(parts, alpha=options.alpha, named=small) if one.name not in known]
    trained = parts.drop(small).query("train >= 2")
    return [*refused, *few, *imbalance(trained), *covariance(trained)]


def division(
    counts: pd.DataFrame, *, test_fraction: float, calibration_fraction: float
) -> pd.DataFrame:
    """Return how many images of each class come into which part, as in `belong.data.splits`.

    Args:
        counts: as `findings` takes them.
        test_fraction: of each class, if there is no test part at all.
        calibration_fraction: of what is left of each class.

    Returns:
        Index: the classes; columns `train`, `calibration`, `test`.
    """
    test, rest = counts["test"], counts["train"]
    if not test.any():
        test = rest.map(lambda images: drawn(images, test_fraction))
        rest = rest - test
    calibration = rest.map(lambda images: drawn(images, calibration_fraction))
    return pd.DataFrame({"train": rest - calibration, "calibration": calibration, "test": test})


def too_small(counts: pd.DataFrame) -> list[str]:
    """Return the classes that `belong fit` refuses."""
    return counts.index[counts["train"] < plan.LEAST_IMAGES].to_list()


def as_fitted(
    counts: pd.DataFrame, *, alpha: float, test_fraction: float, least: float
) -> tuple[float, list[Finding]]:
    """Return the share that `belong fit` holds out to calibrate, and why it would not train.

    Args:
        counts: as `findings` takes them.
        alpha: share of the images that belong that a threshold may reject.
        test_fraction: of each class, if there is no test part at all.
        least: the share, where images are many.
    """
    trained, refused = counts["train"].tolist(), []
    few = too_small(counts)
    if few:
        sentence = f"{_of(few)}: fewer than {plan.LEAST_IMAGES} training images; `belong fit` stops"
        refused.append(Finding("too_few_to_fit", "spoils", sentence))
    if not counts["test"].any():
        trained = plan.without_test(trained, test_fraction)
    try:
        return plan.held_out(trained, alpha=alpha, least=least), refused
    except InputError as error:
        return least, [*refused, Finding("too_few_to_calibrate", "spoils", str(error))]


def too_few(parts: pd.DataFrame, *, alpha: float, named: Collection[str] = ()) -> Iterator[Finding]:
    """Find what cannot be trained, fitted or calibrated with so few images.

    Args:
        parts: how the images would be divided, as `division` returns it.
        alpha: share of the images that belong that a threshold may reject.
        named: classes of which it is said already.
    """
    if len(parts) < 2:
        yield Finding("one_class", "spoils", f"one class, {parts.index[0]}; expected at least 2")
    rest = parts.drop(index=list(named))
    for part, name, least in (
        ("train", "training", 2),
        ("calibration", "calibration", 1),
        ("test", "test", 1),
    ):
        few = rest.index[rest[part] < least]
        if len(few):
            sentence = f"{_of(few)}: fewer than {counted(least, f'{name} image')}; a training stops"
            yield Finding("too_few_to_divide", "spoils", sentence)
            rest = rest.drop(few)
    few = rest.index[rest["train"] < LEAST_TO_TRAIN]
    if len(few):
        sentence = (
            f"{_of(few)}: fewer than {LEAST_TO_TRAIN} images to train with, "
            f"{rest['train'].min()} in the smallest; expect that they are learned by heart"
        )
        yield Finding("few_to_train", "matters", sentence)
    yield from _to_calibrate(parts["calibration"], alpha)


def _to_calibrate(own: "pd.Series[int]", alpha: float) -> Iterator[Finding]:
    n, least = int(own.sum()), least_to_calibrate(alpha)
    at = f"at alpha {alpha:g}"
    images = counted(n, "calibration image")
    if n < least:
        sentence = f"{images}; {at} a threshold wants {least}, or it could not reject anything"
        yield Finding("too_few_to_calibrate", "spoils", sentence)
        return
    low, high = promised_range(n, 10_000, alpha=alpha)
    sentence = (
        f"{images}: {low:.1%} to {high:.1%} of fresh images will be rejected (in 19 of 20 "
        f"calibrations), on average at most {alpha:.1%}"
    )
    yield Finding("promise", "matters" if high > 2 * alpha else "note", sentence)
    wanted = least_held_out(alpha)
    if n < wanted:
        sentence = (
            f"{images}; {at} the detector `combined` needs {wanted}, for one half sets the "
            f"threshold"
        )
        yield Finding("too_few_for_combined", "matters", sentence)
    few = own.index[own < least]
    if len(few):
        sentence = (
            f"{_of(few)}: fewer than {least} calibration images, what a threshold of its own wants "
            f"{at}; the share that is promised holds for all classes together only"
        )
        yield Finding("too_few_per_class", "note", sentence)


def covariance(parts: pd.DataFrame) -> Iterator[Finding]:
    """Tell whether a covariance can be fitted to each class on its own."""
    least = int(parts["train"].min()) if len(parts) else 0
    wanted = {network: PER_CLASS * d for network, d in FEATURES.items()}
    few = [f"{count:,} with {name}" for name, count in wanted.items() if least < count]
    if least and few:
        sentence = (
            f"{counted(least, 'training image')} in the smallest class; a covariance of its own "
            f"wants {', '.join(few)}: with less, it is shrunk or shared"
        )
        yield Finding("covariance", "note", sentence)


def imbalance(parts: pd.DataFrame) -> Iterator[Finding]:
    """Find classes that are far larger than others."""
    train = parts["train"]
    if len(train) and train.max() >= IMBALANCE * max(1, train.min()):
        sentence = (
            f"class {train.idxmax()} has {train.max():,} training images and class "
            f"{train.idxmin()} {train.min():,}: small classes are taken for large ones"
        )
        yield Finding("imbalance", "matters", sentence)


def _of(names: "Sequence[str] | pd.Index[str]") -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{counted(len(names), 'class', 'classes')} ({shown})"
