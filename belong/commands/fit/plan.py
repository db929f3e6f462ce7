"""Choose network, image size, split and training schedule for a folder of images.

The choices depend on the images alone: on the list of files, the headers of some files, and the
colors of a few small images. Each choice has a reason that the user sees.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

import numpy as np

from belong.calibration.cross_conformal import LEAST_OF_CLASS
from belong.calibration.sample_size import LEAST_IMAGES as LEAST_TO_COMBINE
from belong.calibration.sample_size import (
    MARGINAL,
    PER_CLASS,
    Guarantee,
    least_alpha,
    least_held_out,
    least_to_calibrate,
)
from belong.data.dataset import DataSet, draw_count
from belong.data.image_folder import ImageFiles
from belong.data.image_reader import has_color, shorter_side
from belong.data.isolation import each_item
from belong.detectors.combination import MEMBERS_OF_FEW_IMAGES
from belong.models.backbones.card import BackboneCard
from belong.parameters import SplitSection, TrainSection
from belong.runtime.argument_names import heading, named
from belong.runtime.errors import InputError
from belong.runtime.text import counted

Calibration = Literal["split", "cross"]

LOOKED_AT = 200  # maximum number of files whose image size is read
COLORS_LOOKED_AT = 24  # maximum number of small images whose colors are read
SMALL_PX = 64  # maximum side of the images of a small network; larger images are resized
LEAST_PX = 28  # minimum side of the images of `SMALL_NETWORK`
LEAST_PHOTO_PX = 32  # minimum side of the images of `PHOTO_NETWORK`
LEAST_IMAGES = 5  # per class: 2 for training, 1 for calibration, 1 for the test, 1 possible copy
SPARE = 4  # calibration images beyond the minimum, as some may be copies
LEAST_IMAGES_CROSS = LEAST_OF_CLASS + 1  # per class, if all images calibrate; 1 possible copy
LEAST_NEEDED = least_held_out(0.5) + SPARE  # minimum number of calibration images at any alpha
# Calibration share of a folder of one class, which trains no classifier. With the minimum number of
# calibration images a single outlier determines the threshold: on 500 images of textiles such a
# model accepted 86% of the global faults.
ONE_CLASS_CALIBRATES = 0.4
LARGER_ALPHAS = (0.05, 0.1, 0.2)  # choices for a folder that is too small for the default
STEPS = 2000  # minimum number of training steps, so that few images get more epochs
# Minimum number of training steps above a frozen backbone in each fold, with all images per step.
# 20 photos of 5 breeds of dogs and 12 of cats and dogs, 6 draws each: accuracy 0.973 and 0.935 on
# new photos. 300 steps on a tenth of the images each give 0.973 and 0.937.
FOLD_STEPS = 100
PHOTO_STEPS = 600  # the same for `PHOTO_NETWORK`, whose steps take longer and improve it more
SMALL_NETWORK = "lenet"  # for small gray images
PHOTO_NETWORK = "small_cnn"  # for photos, without pretrained weights
# Weight of the center loss on photos. Training from scratch on 3 x 445 photos of rooms, a fifth of
# them held out: accuracy 0.73 at 1, 0.90 at 0.1. Above frozen EfficientNet-Lite0 on three subsets
# of CIFAR-10's classes, 5 seeds, 50 photos of each class held out: 0.893 at 1, 0.903 at 0.1, 0.908
# at 0.01, where the center loss has hardly any effect.
PHOTO_LAMBDA = 0.1
# `belong fit --from-scratch` on 3 x 445 photos of rooms, seed 0: accuracy 0.92 on 258 test photos,
# AUROC 0.71 against 533 photos of another room and 0.86 against 888 photos of other things.
FROM_SCRATCH_ON_PHOTOS = (
    "in a trial it accepted 40% of unrelated photos and 82% of similar ones; pretrained weights, "
    "the default for photos, do far better"
)
LARGE_BATCH = 128  # batch size for which the learning rate of params.yaml is chosen


# Key of params.yaml -> attribute of a plan.
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
    """The choices for a fit.

    Attributes:
        classes: (name, training images, test images) of each class, before the split.
        network: "lenet", "small_cnn", or the name of a backbone.
        side_px: side of the square to which every image is resized.
        why: the reason for the network and the size, in one sentence.
        test_fraction: test share of each class, if the folder has no test part.
        calibration_fraction: calibration share of each class's training images.
        batch_size: images per training step.
        epochs: passes over the training images.
        learning_rate: maximum learning rate.
        shift_px: maximum random shift of a training image.
        flip: whether training images are randomly mirrored.
        lambda_: weight of the center loss.
        train_images: number of images that the network is fitted to.
        calibration: "split" holds images out for calibration; "cross" calibrates with all training
            images, see `belong.calibration.cross_conformal`.
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
        """Return the plan with the user's settings (dotted key -> value) applied."""
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
    """Choose all settings that depend on the images of the folder.

    Args:
        images: the normal images, as `belong.data.loader.look` returns them.
        alpha: promised false-rejection rate.
        guarantee: scope of alpha.
        backbone: the backbone of the network; None for training from scratch.
        split: the test share of each class, if the folder has no test part, and the minimum
            calibration share.
        train: the maximum batch size, the minimum number of epochs, and the learning rate for
            batches of `LARGE_BATCH`.
        lambda_: weight of the center loss.
        settings: dotted keys of params.yaml that the user has set; these values stay.
        calibration: whether images are held out for calibration, see `choose_calibration`.

    Raises:
        InputError: a class has too few images, or too few images can be held out for alpha.
    """
    train_counts, test_counts = counts(images)
    if calibration == "cross":
        _check_classes(images, train_counts, least=LEAST_IMAGES_CROSS)
        fit_count, calibration_fraction = sum(train_counts), split.calibration_fraction
    else:
        _check_classes(images, train_counts, least=LEAST_IMAGES)
        if not sum(test_counts):
            train_counts = without_test(train_counts, split.test_fraction)
        least = least_share(len(images.class_names), split)
        calibration_fraction = held_out(train_counts, alpha=alpha, least=least, guarantee=guarantee)
        fit_count = sum(count - draw_count(count, calibration_fraction) for count in train_counts)
    network, side_px, why = network_for(images, backbone)
    network = str(settings.get("network", network))
    training = training_of(
        train,
        settings,
        fitted=fit_count,
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
        calibration_fraction=calibration_fraction,
        batch_size=training.batch_size,
        epochs=training.epochs,
        learning_rate=training.learning_rate,
        shift_px=training.shift_px,
        flip=training.flip,
        lambda_=center_loss_weight(lambda_, settings, network=network),
        train_images=fit_count,
        calibration=calibration,
    ).with_settings(settings)


def least_share(classes: int, split: SplitSection) -> float:
    """Return the minimum calibration share of each class's training images."""
    least = split.calibration_fraction
    return max(least, ONE_CLASS_CALIBRATES) if classes == 1 else least


def affordable_alpha(
    images: DataSet | ImageFiles, alpha: float, split: SplitSection, guarantee: Guarantee = MARGINAL
) -> float:
    """Return alpha, or the first of `LARGER_ALPHAS` for which there are enough images.

    Args:
        images: the normal images.
        alpha: promised false-rejection rate.
        split: see `plan`.
        guarantee: scope of alpha.

    Returns:
        `alpha` itself if there are too few images for every rate; `plan` then raises an error.
    """
    train_counts, test_counts = counts(images)
    if not sum(test_counts):
        train_counts = without_test(train_counts, split.test_fraction)
    for one in (alpha, *(larger for larger in LARGER_ALPHAS if larger > alpha)):
        with suppress(InputError):
            held_out(train_counts, alpha=one, least=split.calibration_fraction, guarantee=guarantee)
            return one
    return alpha


def choose_calibration(
    images: DataSet | ImageFiles,
    *,
    requested: str,
    alpha: float,
    own_alpha: bool,
    is_frozen: bool,
    split: SplitSection,
    guarantee: Guarantee = MARGINAL,
) -> tuple[Calibration, float]:
    """Choose between split and cross-conformal calibration; return it, and alpha.

    With too few images to hold out, calibration is cross-conformal if the network is a layer above
    a frozen backbone, which is quick to fit again without a fold.

    Args:
        images: the normal images.
        requested: one of `CALIBRATIONS`.
        alpha: promised false-rejection rate.
        own_alpha: whether the user has set alpha, so that it stays.
        is_frozen: whether the network is a layer above a frozen backbone.
        split: see `plan`.
        guarantee: scope of alpha.

    Raises:
        InputError: there are too few images for alpha, or the requested calibration is impossible.
    """
    train_counts, test_counts = counts(images)
    remaining_counts = (
        train_counts if sum(test_counts) else without_test(train_counts, split.test_fraction)
    )
    if requested == "cross" and not is_frozen:
        raise InputError(
            f"{heading('calibration')}: cross trains once for each fold: expected a frozen "
            "backbone, such as "
            f"{named('backbone', 'efficientnet_lite0')}, got a network that is trained as a whole"
        )
    if requested != "cross":
        try:
            held_out(
                remaining_counts, alpha=alpha, least=split.calibration_fraction, guarantee=guarantee
            )
        except InputError:
            if requested == "split" or not is_frozen:
                lowered = affordable_alpha(images, alpha, split, guarantee)
                return "split", alpha if own_alpha else lowered
        else:
            return "split", alpha
    n = sum(train_counts)
    if n <= LEAST_TO_COMBINE:
        raise InputError(
            f"expected at least {LEAST_TO_COMBINE + 1} training images, got {n}; `belong find` "
            f"ranks the images of a smaller folder"
        )
    least = least_alpha(n, guarantee)
    if own_alpha and alpha < least:
        raise InputError(
            f"alpha {alpha:g} needs at least {least_to_calibrate(alpha, guarantee)} images to "
            f"calibrate, got {n}; the smallest possible alpha is {least:g}"
        )
    return "cross", max(alpha, least)


def counts(images: DataSet | ImageFiles) -> tuple[list[int], list[int]]:
    """Count the images of each class for training, and in the test part of the folder."""
    classes = len(images.class_names)
    train = np.bincount(images.labels[~images.is_test], minlength=classes)
    test = np.bincount(images.labels[images.is_test], minlength=classes)
    return train.tolist(), test.tolist()


def _check_classes(
    images: DataSet | ImageFiles, train_counts: Sequence[int], *, least: int
) -> None:
    for name, count in zip(images.class_names, train_counts, strict=True):
        if count < least:
            raise InputError(
                f"class {name} has {counted(count, 'training image')}; expected at least {least}"
            )


def without_test(train_counts: Sequence[int], test_fraction: float) -> list[int]:
    """Return the training images of each class that remain beside the test share."""
    return [count - draw_count(count, test_fraction) for count in train_counts]


def held_out(
    train_counts: Sequence[int], *, alpha: float, least: float, guarantee: Guarantee = MARGINAL
) -> float:
    """Return the calibration share of each class's training images.

    The share gives as many images as `combined` needs, and `SPARE` more, as some may be copies. The
    number of images of each class is rounded, so with many small classes the share is raised until
    the sum is large enough.

    Args:
        train_counts: number of training images of each class, without the test share.
        alpha: promised false-rejection rate.
        least: the minimum share.
        guarantee: scope of alpha.

    Raises:
        InputError: the share would be more than half.
    """
    images, least_count = sum(train_counts), least_held_out(alpha, guarantee) + SPARE
    share = max(least, least_count / max(1, images))
    while share <= 0.5 and sum(draw_count(count, share) for count in train_counts) < least_count:
        share = _next_share(share, train_counts)
    if share > 0.5:
        helps = "a larger alpha or more images" if least_count > LEAST_NEEDED else "more images"
        raise InputError(
            f"alpha {alpha:g}: expected at least {least_count} images to calibrate and as many to "
            f"train, got {images} besides the test images; use {helps}"
        )
    if guarantee != PER_CLASS:
        return share
    # Each class has its own threshold; raise the share for this if a half is enough.
    fraction, least_of_class = share, 2 * least_to_calibrate(alpha) + SPARE
    while (
        fraction <= 0.5
        and min(draw_count(count, fraction) for count in train_counts) < least_of_class
    ):
        fraction = _next_share(fraction, train_counts)
    return fraction if fraction <= 0.5 else share


def _next_share(share: float, train_counts: Sequence[int]) -> float:
    """Return the next share, with four digits, at which a class gives one more image."""
    more = min((draw_count(count, share) + 0.5) / count for count in train_counts if count)
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
    """Return the training options of `belong fit` and `belong clean` for a number of images.

    The learning rate is proportional to the batch size (Goyal et al., Accurate, Large Minibatch
    SGD, 2017, https://arxiv.org/abs/1706.02677): at 0.05 and with batches of 9 images, all units of
    LeNet die. For training from scratch, photos are shifted by up to a sixteenth of their side, and
    mirrored.

    Args:
        options: the maximum batch size, the minimum number of epochs, and the learning rate for
            batches of `LARGE_BATCH`.
        settings: dotted keys that the user has set; their values in `options` stay.
        fitted: number of images that the network is fitted to.
        network: name of the network.
        side_px: side of the images.
        whole: whether a step uses all images, up to the maximum batch size.
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
    """Return lambda: `PHOTO_LAMBDA` for photos, unless the user has set it."""
    is_planned = network != SMALL_NETWORK and "lambda" not in settings
    return PHOTO_LAMBDA if is_planned else lambda_


def steps(
    fitted: int, *, batch_size: int, epochs: int, network: str, whole: bool = False
) -> tuple[int, int]:
    """Return the images per step, at most `batch_size`, and the epochs, at least `epochs`.

    A step uses a tenth of the images, or all images if `whole`.
    """
    batch = max(8, min(batch_size, fitted if whole else fitted // 10))
    least = FOLD_STEPS if whole else PHOTO_STEPS if network == PHOTO_NETWORK else STEPS
    return batch, max(epochs, math.ceil(least * batch / fitted))


def network_for(
    images: DataSet | ImageFiles, backbone: BackboneCard | None
) -> tuple[str, int, str]:
    """Return the name of the network, the side of its images in pixels, and the reason."""
    is_one_class = len(images.class_names) == 1
    if backbone is not None:
        terms = f"license {backbone.license}" if backbone.license else "license not stated"
        if backbone.forbids_commercial_use:
            terms += ", which forbids commercial use"
        layer = (
            "no layer above them is trained"
            if is_one_class
            else "only the layer above them is trained"
        )
        why = f"pretrained weights of {backbone.name} ({terms}): {layer}"
        return backbone.name, backbone.side_px, why
    side = typical_side(images)
    trained_part = "an autoencoder" if is_one_class else "a small network"
    description = f"images of about {side} px: {trained_part} is trained from scratch"
    if is_small_and_grey(images):
        return SMALL_NETWORK, max(side, LEAST_PX), description
    side_px = min(max(side, LEAST_PHOTO_PX), SMALL_PX)
    return PHOTO_NETWORK, side_px, f"{description} on {side_px} px; {FROM_SCRATCH_ON_PHOTOS}"


def typical_side(images: DataSet | ImageFiles) -> int:
    """Return the median of the shorter sides, in pixels, of a sample of the images."""
    if isinstance(images, DataSet):
        _, _, height, width = images.images.shape
        return int(min(height, width))
    step = max(1, len(images.files) // LOOKED_AT)
    paths = images.paths[::step]
    sides = [side for side in each_item(shorter_side, paths, count=len(paths)) if side]
    lengths = [side for side in sides if isinstance(side, int)]  # `pack` reports unreadable files
    return int(np.median(lengths)) if lengths else SMALL_PX


def is_small_and_grey(images: DataSet | ImageFiles) -> bool:
    """Return whether the images have at most 64 px and no color, as `SMALL_NETWORK` requires."""
    if typical_side(images) > SMALL_PX:
        return False
    if isinstance(images, DataSet):
        return int(images.images.shape[1]) == 1
    step = max(1, len(images.files) // COLORS_LOOKED_AT)
    paths = images.paths[::step]
    look = partial(has_color, needed_px=SMALL_PX, max_pixels=10**6)
    return not any(answer is True for answer in each_item(look, paths, count=len(paths)))


def overrides(fit_plan: Plan) -> dict[str, object]:
    """Return the settings of the plan: dotted key of params.yaml -> value."""
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
