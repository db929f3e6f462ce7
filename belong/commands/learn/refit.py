"""Fit a model again, with corrections: its network, detectors, combination and threshold.

The images of the first fit are not needed: `LearningData` has their features. The members of
`combined` stay the same. Reviewed images are not used for calibration: people review images that
look doubtful, so reviewed images are no random sample of future ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from belong.calibration.sample_size import LEAST_FOREIGN, LEAST_IMAGES
from belong.calibration.thresholds import thresholds
from belong.calibration.verdict import decide
from belong.commands.fit.fitting import Fitting
from belong.commands.learn.fitting import (
    COMBINED,
    DERIVED,
    Arrays,
    Refit,
    Scores,
    fit_again,
    out_of_fold,
    views_of,
)
from belong.detectors.base import Detector
from belong.detectors.combination import CombinationRule
from belong.detectors.combined import Combination, combined, cross_combined
from belong.detectors.score_parts import SPREAD
from belong.detectors.temperature_scaling import best_temperature
from belong.evaluation.learning_curve import LearningCurve
from belong.evaluation.metrics import auroc_interval, roc_auc
from belong.evaluation.subset_training import learning_curve
from belong.models.backbones.backbone import Backbone
from belong.prediction.build_bundle import Fitted, Settings, build_bundle
from belong.prediction.bundle import Bundle
from belong.prediction.learning_data import (
    FOREIGN,
    HELD_OUT,
    PREDICTED,
    REVIEWED,
    SHOWN,
    TEST,
    TRAIN,
    LearningData,
)
from belong.prediction.manifest import TrainedOn
from belong.prediction.training_thumbnails import packed

ANOMALIES = "anomaly/test"
SHOWN_VIEWS = ("features", "labels")  # arrays of the training images that pages show


@dataclass(frozen=True)
class Corrections:
    """The reviewed images.

    Attributes:
        inputs: name -> (k, ...) embeddings or views of the images, in the form of `LearningData`.
        labels: (k,) int64, the class of each image; -1 for an image that does not belong.
        pixels: (k, ch, h, w) uint8.
        class_names: the classes of the model, followed by the new ones.
    """

    inputs: Arrays
    labels: np.ndarray
    pixels: np.ndarray
    class_names: list[str]


def corrected(data: LearningData, corrections: Corrections) -> LearningData:
    """Return the training data of a model including the corrections."""
    arrays, is_ours = dict(data.arrays), corrections.labels >= 0
    for name, values in corrections.inputs.items():
        arrays[f"{TRAIN}/{name}"] = np.concatenate([arrays[f"{TRAIN}/{name}"], values[is_ours]])
        before = [arrays[f"{FOREIGN}/{name}"]] if f"{FOREIGN}/{name}" in arrays else []
        arrays[f"{FOREIGN}/{name}"] = np.concatenate([*before, values[~is_ours]])
    labels, n = corrections.labels[is_ours], len(arrays[f"{TRAIN}/labels"])
    arrays[SHOWN] = np.append(arrays[SHOWN], np.arange(n, n + len(labels)))
    before_it = arrays.get(REVIEWED, np.zeros(n, bool))
    arrays[REVIEWED] = np.append(before_it, np.ones(len(labels), bool))
    arrays[f"{TRAIN}/labels"] = np.concatenate([arrays[f"{TRAIN}/labels"], labels])
    return replace(data, arrays=arrays)


def foreign_count(data: LearningData) -> int:
    """Count the images marked as not belonging, in this and all earlier reviews."""
    names = [name for name in data.arrays if name.startswith(f"{FOREIGN}/")]
    return len(data.arrays[names[0]]) if names else 0


def has_head(old: Bundle, data: LearningData) -> bool:
    """Return whether the review head can be trained, and combined with the other detectors."""
    manifest = old.manifest
    is_fitted = bool(manifest.members or manifest.cross_conformal) or _has_enough_tests(data)
    return is_fitted and foreign_count(data) >= LEAST_FOREIGN


def _has_enough_tests(data: LearningData) -> bool:
    """Return whether the p-values of a combination can be fitted to the test images."""
    return len(data.arrays[f"{TEST}/labels"]) >= 2 * LEAST_IMAGES


def refit(
    old: Bundle, data: LearningData, corrections: Corrections, *, backbone: Backbone | None
) -> tuple[Bundle, LearningData]:
    """Fit the model to the data with the corrections; return it, and its training data.

    Args:
        old: the previous model.
        data: the training data of the previous model.
        corrections: the reviewed images.
        backbone: the frozen backbone below the network; None if the network has none.

    Raises:
        InputError: the training fails.
    """
    whole = corrected(data, corrections)
    manifest, values, names = old.manifest, data.parameters, corrections.class_names
    is_new = bool((corrections.labels >= 0).any())  # otherwise the network stays the same
    fitted = fit_again(
        old, whole, names, backbone=backbone if is_new else None, has_head=has_head(old, whole)
    )
    score = _cross_tested if manifest.cross_conformal else _tested
    parts = score(old, whole, names, fitted, backbone)
    scores = parts.scores
    predicted = parts.logits[HELD_OUT].argmax(dim=1).numpy()
    whole = replace(whole, arrays={**whole.arrays, PREDICTED: predicted})
    calibration_labels = torch.from_numpy(parts.labels[HELD_OUT])
    temperature = best_temperature(parts.logits[HELD_OUT], calibration_labels, spread=SPREAD)
    limits = thresholds(
        scores[HELD_OUT],
        _paper_thresholds(fitted.scored),
        alpha=manifest.alpha,
        in_force=values.calibration.threshold,
        guarantee=manifest.guarantee,
    )
    shown_arrays = {name: fitted.training[f"{TRAIN}/{name}"][fitted.once] for name in SHOWN_VIEWS}
    arrays = Fitted(
        images=np.broadcast_to(np.uint8(0), (len(fitted.once), *corrections.pixels.shape[1:])),
        labels=shown_arrays["labels"],
        features=shown_arrays["features"],
        class_names=names,
        shape=fitted.network.shape,
        network=fitted.network.arrays(),
        backbone=old.arrays.get("backbone", {}),
        backbone_card=manifest.backbone,
        autoencoder=old.arrays.get("autoencoder", {}),
        gaussians=fitted.gaussians,
        head={},
        detectors=fitted.detectors,
        held_out=scores[HELD_OUT],
        scores=_measured(parts),
        thresholds=limits,
        members={name: {"left_out": None} for name in fitted.members}
        | {name: {"left_out": why} for name, why in manifest.left_out.items()},
        missing={},
        temperature=round(temperature, 4),
        metrics=_metrics(parts, whole, limits, fitted.detector, corrections),
        cross=manifest.cross_conformal,
        learning_curve=_learning_curve(whole, fitted, names, backbone),
    )
    settings = Settings(
        seed=values.seed,
        lambda_=values.lambda_,
        network=manifest.network,
        normal=manifest.trained_on.normal,
        anomaly=manifest.trained_on.anomalies or "none",
        images=values.images,
        combined=values.combined,
        combination=manifest.combination,
        calibration=values.calibration.model_copy(
            update={"alpha": manifest.alpha, "guarantee": manifest.guarantee}
        ),
        bundle=values.bundle.model_copy(update={"training_images": 1, "detector": fitted.detector}),
    )
    bundle = build_bundle(arrays, settings, where=Path("learn"))
    calibration = dict(bundle.arrays["calibration"]) | parts.member_scores
    training = _training(old, whole, shown_arrays, corrections)
    as_before = {"form": manifest.form, "trained_on": _trained_on(old, bundle)}
    updated = bundle.manifest.model_copy(update=as_before)
    return Bundle(
        updated, {**bundle.arrays, "training": training, "calibration": calibration}
    ), whole


@dataclass(frozen=True)
class _Parts:
    """The parts that are not used for fitting: calibration images, test images and anomalies.

    Attributes:
        scores: part -> detector -> (n,).
        logits: part -> (n, c).
        labels: part -> (n,) int64, of the calibration and the normal test images.
        member_scores: `member/NAME` -> (n,) scores that define the p-values of the combination,
            if these are not the scores of the calibration images.
    """

    scores: Scores
    logits: dict[str, Tensor]
    labels: dict[str, np.ndarray]
    member_scores: dict[str, np.ndarray] = field(default_factory=dict)


def _tested(
    old: Bundle, data: LearningData, _names: list[str], fitted: Refit, _backbone: Backbone | None
) -> _Parts:
    """Score the images that are held out of all fits."""
    parts, member_scores = _scored(data, fitted), {}
    if fitted.members:
        tail, rule = old.manifest.tail, old.manifest.combination
        if _has_enough_tests(data):
            sums = _combined(parts.scores, fitted.members, tail=tail, rule=rule)
            member_scores = {f"member/{name}": parts.scores[TEST][name] for name in fitted.members}
        else:
            sums = combined(parts.scores, HELD_OUT, fitted.members, tail=tail, rule=rule)
        for part, values in sums.items():
            parts.scores[part][COMBINED] = values
    return replace(parts, member_scores=member_scores)


def _cross_tested(
    old: Bundle, data: LearningData, names: list[str], fitted: Refit, backbone: Backbone | None
) -> _Parts:
    """Score the calibration images out of fold, and all other images by the final fit."""
    tests_itself = old.manifest.tests_itself
    if backbone is None:
        raise ValueError("a cross-conformal model needs a frozen backbone")
    parts = _scored(data, fitted, without=(HELD_OUT, DERIVED) if tests_itself else (HELD_OUT,))
    scores, logits = out_of_fold(old, data, names, fitted, backbone=backbone, derived=tests_itself)
    is_calibration = ~data.arrays[REVIEWED]
    labels = parts.labels | {HELD_OUT: data.arrays[f"{TRAIN}/labels"][is_calibration]}
    scores, logits = parts.scores | scores, parts.logits | logits
    if fitted.members:
        tail, rule = old.manifest.tail, old.manifest.combination
        sums = cross_combined(scores, HELD_OUT, fitted.members, tail=tail, rule=rule)
        for part, values in sums.items():
            scores[part][COMBINED] = values
    if tests_itself:
        scores[TEST], logits[TEST], labels[TEST] = (
            scores[HELD_OUT],
            logits[HELD_OUT],
            labels[HELD_OUT],
        )
    return _Parts(scores, logits, labels)


def _scored(data: LearningData, fitted: Refit, *, without: tuple[str, ...] = ()) -> _Parts:
    """Score the parts that are not used for fitting; skip names that start with `without`."""
    names = [part for part in data.parts if not part.startswith((TRAIN, FOREIGN, *without))]
    views = {part: views_of(fitted.network, data, part) for part in names}
    return _Parts(
        {part: fitted.scores(part_views) for part, part_views in views.items()},
        {part: part_views.logits for part, part_views in views.items()},
        {part: data.arrays[f"{part}/labels"] for part in (HELD_OUT, TEST) if part in views},
    )


def _combined(
    scores: Mapping[str, Mapping[str, np.ndarray]],
    members: Sequence[str],
    *,
    tail: float,
    rule: CombinationRule,
) -> dict[str, np.ndarray]:
    """Return the combined scores of every part.

    The p-values of the members are computed from the test images, which have no other use in the
    fit. All calibration images can therefore set the threshold, and stay exchangeable with new
    images. The test images themselves are scored in two halves, each with p-values from the other
    half.
    """
    member_scores = {part: {name: one[name] for name in members} for part, one in scores.items()}
    combination = Combination.fit(member_scores[TEST], tail=tail, rule=rule)
    sums = {part: combination.score(one) for part, one in member_scores.items() if part != TEST}
    halves = slice(0, None, 2), slice(1, None, 2)
    test_sums = np.empty(len(scores[TEST][members[0]]), np.float32)
    for half, other in (halves, halves[::-1]):
        half_scores, other_scores = (
            {name: x[rows] for name, x in member_scores[TEST].items()} for rows in (half, other)
        )
        test_sums[half] = Combination.fit(other_scores, tail=tail, rule=rule).score(half_scores)
    return sums | {TEST: test_sums}


def _paper_thresholds(detectors: Mapping[str, Detector]) -> dict[str, float]:
    return {
        name: detector.threshold
        for name, detector in detectors.items()
        if detector.threshold is not None
    }


def _measured(parts: _Parts) -> dict[str, np.ndarray]:
    """Return the scores and labels for the assessment of the model, see `Fitted.scores`."""
    scores = {
        f"{part}/{name}": values
        for part, part_values in parts.scores.items()
        if part != HELD_OUT
        for name, values in part_values.items()
    }
    predicted = {
        f"{part}/predicted": part_values.argmax(dim=1).numpy()
        for part, part_values in parts.logits.items()
    }
    return scores | predicted | {f"{TEST}/labels": parts.labels[TEST]}


def _metrics(
    parts: _Parts,
    data: LearningData,
    limits: Mapping[str, Mapping[str, float]],
    detector: str,
    corrections: Corrections,
) -> dict[str, Any]:
    """Return the metrics of the model, in the form of metrics_all.json."""
    scores, threshold = parts.scores, limits[detector]["in_force"]
    test_scores, labels = scores[TEST][detector], parts.labels[TEST]
    predicted = parts.logits[TEST].argmax(dim=1).numpy()
    numbers: dict[str, float | str | None] = dict.fromkeys(
        ("auroc", "auroc_low", "auroc_high", "false_accept")
    )
    numbers["false_reject"] = round(float((~decide(test_scores, threshold)).mean()), 4)
    if ANOMALIES in scores:
        anomaly_scores = scores[ANOMALIES][detector]
        options, rng = data.parameters.evaluate, np.random.default_rng(data.parameters.seed)
        numbers |= {"auroc": roc_auc(test_scores, anomaly_scores)}
        numbers |= auroc_interval(test_scores, anomaly_scores, resamples=options.resamples, rng=rng)
        numbers |= {"false_accept": round(float(decide(anomaly_scores, threshold).mean()), 4)}
    else:
        numbers |= {"reason": "there are no test anomalies"}
    return {
        "data": _counts(data, corrections, tested=len(labels)),
        "classification": {
            "accuracy": round(float((predicted == labels).mean()), 4)
            if len(corrections.class_names) > 1
            else None
        },
        "detectors": {detector: numbers},
    }


def _learning_curve(
    data: LearningData, fitted: Refit, names: list[str], backbone: Backbone | None
) -> LearningCurve | None:
    """Return the curve of all training images; None unless a layer above a backbone is trained."""
    if backbone is None or len(names) == 1:
        return None
    return learning_curve(
        fitted.training[f"{TRAIN}/hidden"][fitted.once],
        data.arrays[f"{TRAIN}/labels"],
        classes=len(names),
        training=Fitting(data.parameters, names, torch.device("cpu"), backbone).training,
        seed=data.parameters.seed,
    )


def _counts(data: LearningData, corrections: Corrections, *, tested: int) -> dict[str, int]:
    """Return part -> number of images; `tested` is used if the data has no test part."""
    sizes = {
        name.rpartition("/")[0]: len(array)
        for name, array in data.arrays.items()
        if name not in (SHOWN, PREDICTED, REVIEWED) and not name.startswith("derived/")
    }
    ours = {"reviewed_ours": int((corrections.labels >= 0).sum())}
    sizes.setdefault(TEST, tested)
    return {part.replace("/", "_"): n for part, n in sizes.items() if n} | ours


def _trained_on(old: Bundle, bundle: Bundle) -> TrainedOn:
    """Return the description of the training data, with the number of all reviewed images."""
    images = dict(bundle.manifest.trained_on.images)
    images["reviewed_ours"] += old.manifest.trained_on.images.get("reviewed_ours", 0)
    return old.manifest.trained_on.model_copy(update={"images": images})


def _training(
    old: Bundle, data: LearningData, arrays: Arrays, corrections: Corrections
) -> dict[str, np.ndarray]:
    """Return the training images for pages: those of the old model, and the reviewed images."""
    rows = data.arrays[SHOWN]
    training = {name: array[rows] for name, array in arrays.items()}
    pictures, reviewed = dict(old.arrays["training"]), corrections.pixels[corrections.labels >= 0]
    if len(reviewed):
        for name, added in packed(reviewed).items():
            start = len(pictures["photos"]) if name == "photo_ends" else 0
            pictures[f"new {name}"] = np.concatenate(
                [pictures[name], added + added.dtype.type(start)]
            )
        for name in packed(reviewed[:1]):
            pictures[name] = pictures.pop(f"new {name}")
    return pictures | training
