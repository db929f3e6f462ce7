"""What to do with a person's own folder of images: network, size, parts, passes.

The choices go by the images alone, and each says why. They are made from the listing and from the
headers of some files; only of a few small images are the colors looked at.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import numpy as np

from belong.calibration.cross_conformal import LEAST_OF_CLASS
from belong.calibration.sample_size import (
    CALIBRATIONS,
    MARGINAL,
    PER_CLASS,
    Guarantee,
    least_alpha,
    least_held_out,
    least_to_calibrate,
)
from belong.calibration.sample_size import LEAST_IMAGES as LEAST_TO_COMBINE
from belong.data.dataset import DataSet, drawn
from belong.data.image_folder import ImageFiles
from belong.data.image_reader import has_color, shorter_side
from belong.data.isolation import each_item
from belong.models.backbones.card import BackboneCard
from belong.parameters import MEMBERS_OF_FEW_IMAGES, SplitSection, TrainSection
from belong.runtime.arguments import check_choice
from belong.runtime.errors import InputError
from belong.runtime.text import counted

Calibration = Literal["split", "cross"]

LOOKED_AT = 200  # files whose size is read
COLORS_LOOKED_AT = 24  # small images of which the colors are looked at
SMALL_PX = 64  # images up to this side are seen whole by a small network
LEAST_PX = 28
LEAST_PHOTO_PX = 32  # of `PHOTO_NETWORK`
LEAST_IMAGES = 5  # 2 to fit, and 1 each to calibrate and to measure, with one that may repeat
SPARE = 4  # images, beyond what calibrates at least
LEAST_IMAGES_CROSS = LEAST_OF_CLASS + 1  # where all images calibrate; one may be a copy
LEAST_NEEDED = least_held_out(0.5) + SPARE  # at any alpha
# No classifier has to be trained of one class. With the least number of calibration images a single
# odd one is the threshold: on 500 textiles such a model accepted 86 % of the global faults.
ONE_CLASS_CALIBRATES = 0.4
LARGER_ALPHAS = (0.05, 0.1, 0.2)  # where a folder is too small for the default
STEPS = 2000  # of training, at least: a few hundred images need more passes than many thousands
# The same above a frozen backbone that is trained on once more for each fold, all images at once.
# 20 photos of 5 breeds of dogs and 12 of cats and dogs, 6 draws each: accuracy 0.973 and 0.935 on
# fresh ones, as after 300 steps on a tenth of the images each (0.973 and 0.937).
FOLD_STEPS = 100
PHOTO_STEPS = 600  # the same of `PHOTO_NETWORK`, whose passes take longer and teach it more
SMALL_NETWORK = "lenet"  # of small grey images
PHOTO_NETWORK = "small_cnn"  # of photos, where there are no pretrained weights
# From scratch on 3 x 445 photos of rooms, a fifth of them held out: accuracy 0.73 at 1, 0.90 at
# 0.1. Above frozen EfficientNet-Lite0 on three parts of CIFAR-10's classes, 5 seeds, 50 photos of
# each class held out: 0.893 at 1, 0.903 at 0.1, 0.908 at 0.01, where center loss hardly acts.
PHOTO_LAMBDA = 0.1
# `belong fit --from-scratch` on 3 x 445 photos of rooms, seed 0: accuracy 0.92 on 258 others, AUROC
# 0.71 against 533 photos of another room and 0.86 against 888 of other things.
FROM_SCRATCH_ON_PHOTOS = (
    "in a trial it accepted 40 % of unrelated photos and 82 % of similar ones; learned weights, "
    "the default for photos, do far better"
)
LARGE_BATCH = 128  # images per step that the rate of params.yaml is meant for


# Keys of params.yaml, and what of a plan they hold.
SET_BY_PLAN = {
    "network": "network",
    "images.side_px": "side_px",
    "split.test_fraction": "test_fraction",
    "split.calibration_fraction": "calibration_fraction",
    "train.batch_size": "batch_size",
    "train.epochs": "epochs",
    "train.learning_rate": "learning_rate",
    "train.shift_px": "shift_px",
    "train.flip": "flip",
    "lambda": "lambda_",
}


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Attributes:
        classes: (name, training images, test images) of each class, before the division.
        network: "lenet", "small_cnn", or the name of a backbone.
        side_px: of the square that every image becomes.
        why: these two, in a sentence.
        test_fraction: of each class, where there is no test part.
        calibration_fraction: of each class's training images.
        batch_size: images per step.
        epochs: passes over the training images.
        learning_rate: the highest of the training.
        shift_px: the furthest that a training image is moved.
        flip: whether training images are mirrored.
        lambda_: weight of the center loss.
        train_images: that the network is fitted to.
        calibration: "split": some images are held out of all fitting; "cross": none are, see
            `belong.calibration.cross_conformal`.
    """

    classes: list[tuple[str, int, int]]
    network: str
    side_px: int
    why: str
    test_fraction: float
    calibration_fraction: float
    batch_size: int
    epochs: int
    learning_rate: float
    shift_px: int
    flip: bool
    lambda_: float
    train_images: int
    calibration: Calibration = "split"

    def with_settings(self, settings: Mapping[str, object]) -> Self:
        """Return the plan with what a person has set himself, by dotted key, in its place."""
        user_values = {name: settings[key] for key, name in SET_BY_PLAN.items() if key in settings}
        return replace(self, **user_values)  # type: ignore[arg-type]  # each is checked with params.yaml


def plan(
    images: DataSet | ImageFiles,
    *,
    alpha: float,
    guarantee: Guarantee = MARGINAL,
    backbone: BackboneCard | None,
    split: SplitSection,
    train: TrainSection,
    lambda_: float,
    settings: Mapping[str, object],
    calibration: Calibration = "split",
) -> Plan:
    """Choose, by what the folder holds.

    Args:
        images: the images that belong, as `belong.data.loader.look` returns them.
        alpha: share of the images that belong that may be rejected.
        guarantee: of alpha.
        backbone: what the network stands on, if it is not trained from scratch.
        split: the least shares of each class that measure, where there is no test part, and of its
            training images that are held out.
        train: the largest batches and the fewest passes, and the rate of large batches.
        lambda_: weight of the center loss.
        settings: dotted keys of params.yaml that a person has set; they stay as they are.
        calibration: whether images are held out to calibrate; see `choose_calibration`.

    Raises:
        InputError: fewer than two classes, or too few images to keep the promise at alpha.
    """
    trained, tested = counts(images)
    if calibration == "cross":
        _check_classes(images, trained, least=LEAST_IMAGES_CROSS)
        fitted, calibrates = sum(trained), split.calibration_fraction
    else:
        _check_classes(images, trained, least=LEAST_IMAGES)
        if not sum(tested):
            trained = without_test(trained, split.test_fraction)
        least = least_share(len(images.class_names), split)
        calibrates = held_out(trained, alpha=alpha, least=least, guarantee=guarantee)
        fitted = sum(count - drawn(count, calibrates) for count in trained)
    network, side_px, why = network_for(images, backbone)
    network = str(settings.get("network", network))
    training = training_of(
        train,
        settings,
        fitted=fitted,
        network=network,
        side_px=side_px,
        whole=calibration == "cross",
    )
    return Plan(
        classes=list(zip(images.class_names, *counts(images), strict=True)),
        network=network,
        side_px=side_px,
        why=why,
        test_fraction=split.test_fraction,
        calibration_fraction=calibrates,
        batch_size=training.batch_size,
        epochs=training.epochs,
        learning_rate=training.learning_rate,
        shift_px=training.shift_px,
        flip=training.flip,
        lambda_=center_loss_weight(lambda_, settings, network=network),
        train_images=fitted,
        calibration=calibration,
    ).with_settings(settings)


def least_share(classes: int, split: SplitSection) -> float:
    """Return the share of each class's training images that calibrates where images are many."""
    least = split.calibration_fraction
    return max(least, ONE_CLASS_CALIBRATES) if classes == 1 else least


def affordable_alpha(
    images: DataSet | ImageFiles, alpha: float, split: SplitSection, guarantee: Guarantee = MARGINAL
) -> float:
    """Return alpha, or the first of `LARGER_ALPHAS` that so few images can calibrate.

    Args:
        images: the images that belong.
        alpha: share of the images that belong that may be rejected.
        split: as `plan` takes it.
        guarantee: of alpha.

    Returns:
        `alpha` where no larger one helps either; `plan` then says how many images it requires.
    """
    trained, tested = counts(images)
    if not sum(tested):
        trained = without_test(trained, split.test_fraction)
    for one in (alpha, *(larger for larger in LARGER_ALPHAS if larger > alpha)):
        with suppress(InputError):
            held_out(trained, alpha=one, least=split.calibration_fraction, guarantee=guarantee)
            return one
    return alpha


def choose_calibration(
    images: DataSet | ImageFiles,
    *,
    asked: str,
    alpha: float,
    own_alpha: bool,
    is_frozen: bool,
    split: SplitSection,
    guarantee: Guarantee = MARGINAL,
) -> tuple[Calibration, float]:
    """Return whether images are held out to calibrate, and alpha.

    Above a frozen backbone none are where they are too few: refitting is quick without
    some.

    Args:
        images: the images that belong.
        asked: one of CALIBRATIONS.
        alpha: share of the images that belong that may be rejected.
        own_alpha: whether a person has asked for it, so that it stays.
        is_frozen: whether the network is a layer above a frozen backbone.
        split: as `plan` takes it.
        guarantee: of alpha.

    Raises:
        InputError: the images are too few for alpha, or `asked` cannot be.
    """
    check_choice("calibration", asked, CALIBRATIONS)
    trained, tested = counts(images)
    rest = trained if sum(tested) else without_test(trained, split.test_fraction)
    if asked == "cross" and not is_frozen:
        raise InputError(
            "calibration: cross trains once for each fold: expected a frozen backbone, such as "
            "--backbone efficientnet_lite0, got a network all of which is trained"
        )
    if asked != "cross":
        try:
            held_out(rest, alpha=alpha, least=split.calibration_fraction, guarantee=guarantee)
        except InputError:
            if asked == "split" or not is_frozen:
                lowered = affordable_alpha(images, alpha, split, guarantee)
                return "split", alpha if own_alpha else lowered
        else:
            return "split", alpha
    n = sum(trained)
    if n <= LEAST_TO_COMBINE:
        raise InputError(f"expected at least {LEAST_TO_COMBINE + 1} training images, got {n}")
    least = least_alpha(n, guarantee)
    if own_alpha and alpha < least:
        raise InputError(
            f"alpha {alpha:g} needs at least {least_to_calibrate(alpha, guarantee)} images to "
            f"calibrate, got {n}; the least alpha that they reach is {least:g}"
        )
    return "cross", max(alpha, least)


def counts(images: DataSet | ImageFiles) -> tuple[list[int], list[int]]:
    """Return how many images each class has for training, and in an official test part."""
    classes = len(images.class_names)
    train = np.bincount(images.labels[~images.is_test], minlength=classes)
    test = np.bincount(images.labels[images.is_test], minlength=classes)
    return train.tolist(), test.tolist()


def _check_classes(images: DataSet | ImageFiles, trained: Sequence[int], *, least: int) -> None:
    for name, count in zip(images.class_names, trained, strict=True):
        if count < least:
            raise InputError(
                f"class {name} has {counted(count, 'training image')}; expected at least {least}"
            )


def without_test(trained: Sequence[int], test_fraction: float) -> list[int]:
    """Return the images of each class less the share that becomes the test."""
    return [count - drawn(count, test_fraction) for count in trained]


def held_out(
    trained: Sequence[int], *, alpha: float, least: float, guarantee: Guarantee = MARGINAL
) -> float:
    """Return the share of each class's training images that calibrates.

    It gives as many as `combined` needs, and some to spare: a few may turn out to be copies. Whole
    images are drawn of each class; where classes are many and small, the share is raised until
    their sum is enough.

    Args:
        trained: images of each class for training, without the test.
        alpha: share of the images that belong that may be rejected.
        least: the share, where images are many.
        guarantee: of alpha.

    Raises:
        InputError: it would be more than half of them.
    """
    images, needed = sum(trained), least_held_out(alpha, guarantee) + SPARE
    share = max(least, needed / max(1, images))
    while share <= 0.5 and sum(drawn(count, share) for count in trained) < needed:
        share = _next(share, trained)
    if share > 0.5:
        helps = "a larger alpha, or more images," if needed > LEAST_NEEDED else "more images"
        raise InputError(
            f"alpha {alpha:g} needs {needed} images to calibrate, and as many to train; there are "
            f"{images} beside the test; {helps} would do"
        )
    if guarantee != PER_CLASS:
        return share
    # Each class calibrates its own threshold, if a half of it is enough.
    fraction, each = share, 2 * least_to_calibrate(alpha) + SPARE
    while fraction <= 0.5 and min(drawn(count, fraction) for count in trained) < each:
        fraction = _next(fraction, trained)
    return fraction if fraction <= 0.5 else share


def _next(share: float, trained: Sequence[int]) -> float:
    """Return a share, of four digits, at which one more image is drawn of some class."""
    more = min((drawn(count, share) + 0.5) / count for count in trained if count)
    return (math.floor(more * 1e4) + 1) / 1e4


def training_of(
    options: TrainSection,
    settings: Mapping[str, object],
    *,
    fitted: int,
    network: str,
    side_px: int,
    whole: bool = False,
) -> TrainSection:
    """Return how `belong fit` and `belong clean` train a network on so many images.

    The rate is as much smaller as the batches are (Goyal et al., Accurate, Large Minibatch SGD,
    2017, https://arxiv.org/abs/1706.02677): on batches of 9 images LeNet dies at 0.05. Photos that
    a network is trained on from scratch are moved by a sixteenth of their side, and mirrored.

    Args:
        options: the largest batches, the fewest passes, the rate for batches of `LARGE_BATCH`.
        settings: dotted keys that a person has set; `options` has their values, which stay.
        fitted: images that the network is fitted to.
        network: its name.
        side_px: of the images.
        whole: whether a step is made of all images, as far as the largest batches allow.
    """
    batch_size, epochs = steps(
        fitted,
        batch_size=options.batch_size,
        epochs=options.epochs,
        network=network,
        whole=whole,
    )
    if "train.batch_size" in settings:
        batch_size = options.batch_size
    planned: dict[str, object] = {
        "batch_size": batch_size,
        "epochs": epochs,
        "learning_rate": options.learning_rate * min(1, batch_size / LARGE_BATCH),
    }
    if network == PHOTO_NETWORK:
        planned |= {"shift_px": side_px // 16, "flip": True}
    planned_values = {
        key: value for key, value in planned.items() if f"train.{key}" not in settings
    }
    return options.model_copy(update=planned_values)


def center_loss_weight(lambda_: float, settings: Mapping[str, object], *, network: str) -> float:
    """Return lambda: on photos less than elsewhere, unless a person has set it."""
    is_planned = network != SMALL_NETWORK and "lambda" not in settings
    return PHOTO_LAMBDA if is_planned else lambda_


def steps(
    fitted: int, *, batch_size: int, epochs: int, network: str, whole: bool = False
) -> tuple[int, int]:
    """Return the images per step, at most `batch_size`, and the passes, at least `epochs`.

    A step takes a tenth of the images, or all of them if `whole`.
    """
    batch = max(8, min(batch_size, fitted if whole else fitted // 10))
    least = FOLD_STEPS if whole else PHOTO_STEPS if network == PHOTO_NETWORK else STEPS
    return batch, max(epochs, math.ceil(least * batch / fitted))


def network_for(
    images: DataSet | ImageFiles, backbone: BackboneCard | None
) -> tuple[str, int, str]:
    """Return the network, the side in pixels that every image is given, and why."""
    is_one_class = len(images.class_names) == 1
    if backbone is not None:
        terms = f"license {backbone.license}" if backbone.license else "license not stated"
        if backbone.forbids_commercial_use:
            terms += ", which forbids commercial use"
        layer = "nothing is trained above them" if is_one_class else "the layer above is trained"
        why = f"learned weights of {backbone.name} ({terms}): {layer}"
        return backbone.name, backbone.side_px, why
    side = typical_side(images)
    what = "an autoencoder" if is_one_class else "a small network"
    shown = f"images of about {side} px: {what} is trained from scratch"
    if is_small_and_grey(images):
        return SMALL_NETWORK, max(side, LEAST_PX), shown
    used = min(max(side, LEAST_PHOTO_PX), SMALL_PX)
    return PHOTO_NETWORK, used, f"{shown} on {used} px; {FROM_SCRATCH_ON_PHOTOS}"


def typical_side(images: DataSet | ImageFiles) -> int:
    """Return the median of the shorter sides, in pixels, of some of the images."""
    if isinstance(images, DataSet):
        _, _, height, width = images.images.shape
        return int(min(height, width))
    step = max(1, len(images.files) // LOOKED_AT)
    paths = images.paths[::step]
    sides = [side for side in each_item(shorter_side, paths, count=len(paths)) if side]
    known = [side for side in sides if isinstance(side, int)]  # `pack` says what the others are
    return int(np.median(known)) if known else SMALL_PX


def is_small_and_grey(images: DataSet | ImageFiles) -> bool:
    """Return whether the images are those of a small network: up to 64 px, and without color."""
    if typical_side(images) > SMALL_PX:
        return False
    if isinstance(images, DataSet):
        return int(images.images.shape[1]) == 1
    step = max(1, len(images.files) // COLORS_LOOKED_AT)
    paths = images.paths[::step]
    look = partial(has_color, needed_px=SMALL_PX, max_pixels=10**6)
    return not any(answer is True for answer in each_item(look, paths, count=len(paths)))


def overrides(fit_plan: Plan) -> dict[str, object]:
    """Return the keys of params.yaml that the plan sets, dotted."""
    few = fit_plan.calibration == "cross" and len(fit_plan.classes) > 1
    members = {"combined.members": list(MEMBERS_OF_FEW_IMAGES)} if few else {}
    return (
        {key: getattr(fit_plan, name) for key, name in SET_BY_PLAN.items()}
        | members
        | {
            "detectors.feature_knn.k": max(1, min(50, fit_plan.train_images // 20)),
            "detectors.hidden_knn.k": max(1, min(10, fit_plan.train_images // 20)),
        }
    )
