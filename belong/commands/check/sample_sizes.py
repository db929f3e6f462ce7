"""Check that there are enough images to train, to fit detectors, and to calibrate a threshold."""

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

CALIBRATION_FRACTION = 0.1  # the default of params.yaml
# Minimum images of a class per feature for a covariance per class, and features of each network:
# copies of values in belong.detectors and belong.models, which import torch; a test compares them.
PER_CLASS = 5
FEATURES = {"lenet": 84, "the layer on a backbone": 128}
# A rule of thumb: the images of a smaller class are memorized.
LEAST_TO_TRAIN = 50
IMBALANCE = 10


def findings(counts: pd.DataFrame, options: CheckOptions) -> list[Finding]:
    """Return the findings about the numbers of images.

    Args:
        counts: index: the classes; columns `train` and `test`: readable images.
        options: the options of the planned training.
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
        small = too_small(counts)  # reported once; further findings skip these classes
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
        test = train.map(lambda images: drawn(images, test_fraction))
        train = train - test
    calibration = train.map(lambda images: drawn(images, calibration_fraction))
    return pd.DataFrame({"train": train - calibration, "calibration": calibration, "test": test})


def too_small(counts: pd.DataFrame) -> list[str]:
    """Return the classes that `belong fit` refuses."""
    return counts.index[counts["train"] < plan.LEAST_IMAGES].to_list()


def as_fitted(
    counts: pd.DataFrame, *, alpha: float, test_fraction: float, least: float
) -> tuple[float, list[Finding]]:
    """Return the share that `belong fit` holds out for calibration, and findings that stop it.

    Args:
        counts: as in `findings`.
        alpha: promised false-rejection rate.
        test_fraction: test share of each class, if there is no test part.
        least: the share in large folders.
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
        sentence = f"{error}; above a frozen backbone, as for photos, all images calibrate"
        return least, [*refused, Finding("too_few_to_calibrate", "spoils", sentence)]


def too_few(parts: pd.DataFrame, *, alpha: float, named: Collection[str] = ()) -> Iterator[Finding]:
    """Find classes and parts with too few images to train, fit or calibrate.

    Args:
        parts: the division of the images, as `division` returns it.
        alpha: promised false-rejection rate.
        named: classes that another finding names already.
    """
    if len(parts) < 2:
        yield Finding(
            "one_class", "spoils", f"expected at least 2 classes, got one, {parts.index[0]}"
        )
    rest = parts.drop(index=list(named))
    for part, name, least in (
        ("train", "training", 2),
        ("calibration", "calibration", 1),
        ("test", "test", 1),
    ):
        few = rest.index[rest[part] < least]
        if len(few):
            sentence = f"{_of(few)}: fewer than {counted(least, f'{name} image')}; training stops"
            yield Finding("too_few_to_divide", "spoils", sentence)
            rest = rest.drop(few)
    few = rest.index[rest["train"] < LEAST_TO_TRAIN]
    if len(few):
        sentence = (
            f"{_of(few)}: fewer than {LEAST_TO_TRAIN} training images, {rest['train'].min()} in "
            f"the smallest class; the network may memorize them"
        )
        yield Finding("few_to_train", "matters", sentence)
    yield from _to_calibrate(parts["calibration"], alpha)


def _to_calibrate(calibration: "pd.Series[int]", alpha: float) -> Iterator[Finding]:
    n, least = int(calibration.sum()), least_to_calibrate(alpha)
    at = f"at alpha {alpha:g}"
    images = counted(n, "calibration image")
    if n < least:
        sentence = f"{images}; {at} a threshold needs at least {least} to reject any image"
        yield Finding("too_few_to_calibrate", "spoils", sentence)
        return
    low, high = promised_range(n, 10_000, alpha=alpha)
    sentence = (
        f"{images}: {low:.1%} to {high:.1%} of fresh normal images will be rejected (in 19 of 20 "
        f"calibrations), on average at most {alpha:.1%}"
    )
    yield Finding("promise", "matters" if high > 2 * alpha else "note", sentence)
    needed = least_held_out(alpha)
    if n < needed:
        sentence = (
            f"{images}; {at} the detector `combined` needs {needed}, as only one half sets the "
            f"threshold"
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
            f"{counted(least, 'training image')} in the smallest class; a covariance per class "
            f"needs {', '.join(few)}: with fewer, it is shrunk or shared"
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
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{counted(len(names), 'class', 'classes')} ({shown})"
