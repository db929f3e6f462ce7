"""Whether there are enough images: to train, to fit, to set a threshold that keeps its promise."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from belong.calibration.conformal import promised_range
from belong.calibration.sample_size import least_held_out, least_to_calibrate
from belong.commands.check.finding import Finding
from belong.commands.fit import plan
from belong.data.dataset import drawn
from belong.runtime.errors import InputError
from belong.runtime.text import counted

# Images of a class for each feature, from which a covariance of its own is fitted; and features of
# each network (belong/detectors/covariance.py and belong/networks say the same; they take torch
# and seconds to import, so that a test holds these to them).
PER_CLASS = 5
FEATURES = {"lenet": 84, "efficientnet_b0": 1280}
# A rule of thumb, no more: below, a class is learned by heart.
LEAST_TO_TRAIN = 50
IMBALANCE = 10


@dataclass(frozen=True)
class Division:
    """How a training divides the images of each class: class -> images."""

    train: Mapping[str, int]
    calibration: Mapping[str, int]
    test: Mapping[str, int]

    def without(self, names: Collection[str]) -> "Division":
        """Return the division of the other classes."""
        kept = [name for name in self.train if name not in names]
        each = (self.train, self.calibration, self.test)
        return Division(*({name: part[name] for name in kept} for part in each))


def division(
    counts: pd.DataFrame, *, test_fraction: float, calibration_fraction: float
) -> Division:
    """Return how many images of each class come into which part, as in `belong.data.splits`.

    Args:
        counts: index: the classes; columns `train` and `test`, images that can be read.
        test_fraction: of each class, if there is no test part at all.
        calibration_fraction: of what is left of each class.
    """
    has_test = bool(counts["test"].any())
    train, calibration, test = {}, {}, {}
    for name, some, official in counts[["train", "test"]].itertuples():
        test[name] = official if has_test else drawn(some, test_fraction)
        rest = some if has_test else some - test[name]
        calibration[name] = drawn(rest, calibration_fraction)
        train[name] = rest - calibration[name]
    return Division(train, calibration, test)


def too_small(counts: pd.DataFrame) -> list[str]:
    """Return the classes that `belong fit` refuses; `counts` as `division` takes them."""
    return [str(name) for name, some in counts["train"].items() if some < plan.LEAST_IMAGES]


def as_fitted(
    counts: pd.DataFrame, *, alpha: float, test_fraction: float, least: float
) -> tuple[float, list[Finding]]:
    """Return the share that `belong fit` holds out to calibrate, and why it would not train.

    Args:
        counts: as `division` takes them.
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


def too_few(parts: Division, *, alpha: float, named: Collection[str] = ()) -> Iterator[Finding]:
    """Find what cannot be trained, fitted or calibrated with so few images.

    Args:
        parts: how the images would be divided.
        alpha: share of the images that belong that a threshold may reject.
        named: classes of which it is said already.
    """
    names = list(parts.train)
    if len(names) < 2:
        yield Finding("one_class", "spoils", f"one class, {names[0]}; wanted at least 2")
    for part, own, least in (
        ("training", parts.train, 2),
        ("calibration", parts.calibration, 1),
        ("test", parts.test, 1),
    ):
        few = [name for name in names if own[name] < least and name not in named]
        if few:
            sentence = f"{_of(few)}: fewer than {counted(least, f'{part} image')}; a training stops"
            yield Finding("too_few_to_divide", "spoils", sentence)
            named = {*named, *few}
    few = [name for name in names if parts.train[name] < LEAST_TO_TRAIN and name not in named]
    if few:
        least = min(parts.train[name] for name in few)
        sentence = (
            f"{_of(few)}: fewer than {LEAST_TO_TRAIN} images to train with, {least} in the "
            f"smallest; expect that they are learned by heart"
        )
        yield Finding("few_to_train", "matters", sentence)
    yield from _to_calibrate(parts.calibration, alpha)


def _to_calibrate(own: Mapping[str, int], alpha: float) -> Iterator[Finding]:
    n, least = sum(own.values()), least_to_calibrate(alpha)
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
            f"{images}; {at} the detector `combined` wants {wanted}, for one half sets the "
            f"threshold"
        )
        yield Finding("too_few_for_combined", "matters", sentence)
    few = [name for name, count in own.items() if count < least]
    if few:
        sentence = (
            f"{_of(few)}: fewer than {least} calibration images, what a threshold of its own wants "
            f"{at}; the share that is promised holds for all classes together only"
        )
        yield Finding("too_few_per_class", "note", sentence)


def covariance(parts: Division) -> Iterator[Finding]:
    """Tell whether a covariance can be fitted to each class on its own."""
    least = min(parts.train.values(), default=0)
    wanted = {network: PER_CLASS * d for network, d in FEATURES.items()}
    few = [f"{count:,} with {name}" for name, count in wanted.items() if least < count]
    if least and few:
        sentence = (
            f"{counted(least, 'training image')} in the smallest class; a covariance of its own "
            f"wants {', '.join(few)}: with less, it is shrunk or shared"
        )
        yield Finding("covariance", "note", sentence)


def imbalance(parts: Division) -> Iterator[Finding]:
    """Find classes that are far larger than others."""
    train = parts.train
    if not train:
        return
    most, fewest = (how(train, key=lambda name: train[name]) for how in (max, min))
    if train[most] >= IMBALANCE * max(1, train[fewest]):
        sentence = (
            f"class {most} has {train[most]:,} training images and class {fewest} "
            f"{train[fewest]:,}: small classes are taken for large ones"
        )
        yield Finding("imbalance", "matters", sentence)


def _of(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{counted(len(names), 'class', 'classes')} ({shown})"
