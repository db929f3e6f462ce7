"""Fit a model again, with corrections: its network, detectors, combination and threshold.

No image of the first fit is needed: `LearningData` has what the network makes of each. The members
of `combined` stay those that were chosen. No reviewed image calibrates: people review what they
doubt, so that these images are not drawn as fresh ones will be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from belong.calibration.sample_size import LEAST_IMAGES
from belong.calibration.thresholds import thresholds
from belong.calibration.verdict import decide
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
from belong.detectors import review_head
from belong.detectors.base import Detector
from belong.detectors.combined import Combination, combined, cross_combined
from belong.detectors.score_parts import SPREAD
from belong.detectors.temperature_scaling import best_temperature
from belong.evaluation.metrics import auroc_interval, roc_auc
from belong.models.backbones.backbone import Backbone
from belong.parameters import CombinationRule
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
SHOWN_VIEWS = ("features", "labels")  # of the training images on pages


@dataclass(frozen=True)
class Corrections:
    """The reviewed images.

    Attributes:
        inputs: name -> (k, ...) the vectors or views of these images, as `LearningData` has them.
        labels: (k,) int64, the class of each, -1 for what does not belong.
        pixels: (k, ch, h, w) uint8.
        class_names: those of the model, followed by the new ones.
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
    """Return whether the review head can be trained, and calibrated beside the others."""
    manifest = old.manifest
    is_fitted = bool(manifest.members or manifest.cross_conformal) or _has_enough_tests(data)
    return is_fitted and foreign_count(data) >= review_head.LEAST_FOREIGN


def _has_enough_tests(data: LearningData) -> bool:
    """Return whether the p-values of a combination can be fitted to the test images."""
    return len(data.arrays[f"{TEST}/labels"]) >= 2 * LEAST_IMAGES


def refit(
    old: Bundle, data: LearningData, corrections: Corrections, *, backbone: Backbone | None
) -> tuple[Bundle, LearningData]:
    """Return the model that is fitted to the data with the corrections, and all of that data.

    `backbone` is the frozen one that the network stands on.

    Raises:
        InputError: the training fails.
    """
    whole = corrected(data, corrections)
    manifest, values, names = old.manifest, data.parameters, corrections.class_names
    is_new = bool((corrections.labels >= 0).any())  # else the network stays as it is
    known = fit_again(
        old, whole, names, backbone=backbone if is_new else None, has_head=has_head(old, whole)
    )
    tested = _cross_tested if manifest.cross_conformal else _tested
    parts = tested(old, whole, names, known, backbone)
    scores = parts.scores
    predicted = parts.logits[HELD_OUT].argmax(dim=1).numpy()
    whole = replace(whole, arrays={**whole.arrays, PREDICTED: predicted})
    calibration_labels = torch.from_numpy(parts.labels[HELD_OUT])
    temperature = best_temperature(parts.logits[HELD_OUT], calibration_labels, spread=SPREAD)
    limits = thresholds(
        scores[HELD_OUT],
        _own(known.asked),
        alpha=manifest.alpha,
        in_force=values.calibration.threshold,
        guarantee=manifest.guarantee,
    )
    shown = {name: known.training[f"{TRAIN}/{name}"][known.once] for name in SHOWN_VIEWS}
    fitted_to = Fitted(
        images=np.broadcast_to(np.uint8(0), (len(known.once), *corrections.pixels.shape[1:])),
        labels=shown["labels"],
        features=shown["features"],
        class_names=names,
        shape=known.network.shape,
        network=known.network.arrays(),
        backbone=old.arrays.get("backbone", {}),
        backbone_card=manifest.backbone,
        autoencoder=old.arrays.get("autoencoder", {}),
        gaussians=known.gaussians,
        head={},
        detectors=known.detectors,
        held_out=scores[HELD_OUT],
        scores=_measured(parts),
        thresholds=limits,
        members={name: {"left_out": None} for name in known.members}
        | {name: {"left_out": why} for name, why in manifest.left_out.items()},
        missing={},
        temperature=round(temperature, 4),
        metrics=_metrics(parts, whole, limits, known.detector, corrections),
        cross=manifest.cross_conformal,
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
        bundle=values.bundle.model_copy(update={"training_images": 1, "detector": known.detector}),
    )
    bundle = build_bundle(fitted_to, settings, where=Path("learn"))
    calibration = dict(bundle.arrays["calibration"]) | parts.member_scores
    training = _training(old, whole, shown, corrections)
    as_before = {"form": manifest.form, "trained_on": _trained_on(old, bundle)}
    updated = bundle.manifest.model_copy(update=as_before)
    return Bundle(
        updated, {**bundle.arrays, "training": training, "calibration": calibration}
    ), whole


@dataclass(frozen=True)
class _Parts:
    """The parts that nothing is fitted to: calibration images, test images and anomalies.

    Attributes:
        scores: part -> detector -> (n,).
        logits: part -> (n, c).
        labels: part -> (n,) int64, of the calibration and the normal test images.
        member_scores: `member/NAME` (n,) that give the p-values of the combination, where they are
            not among those of the calibration images.
    """

    scores: Scores
    logits: dict[str, Tensor]
    labels: dict[str, np.ndarray]
    member_scores: dict[str, np.ndarray] = field(default_factory=dict)


def _tested(
    old: Bundle, data: LearningData, _names: list[str], known: Refit, _backbone: Backbone | None
) -> _Parts:
    """Score the images that were held out of all fits."""
    parts, of_members = _scored(data, known), {}
    if known.members:
        tail, rule = old.manifest.tail, old.manifest.combination
        if _has_enough_tests(data):
            sums = _combined(parts.scores, known.members, tail=tail, rule=rule)
            of_members = {f"member/{name}": parts.scores[TEST][name] for name in known.members}
        else:
            sums = combined(parts.scores, HELD_OUT, known.members, tail=tail, rule=rule)
        for part, one in sums.items():
            parts.scores[part][COMBINED] = one
    return replace(parts, member_scores=of_members)


def _cross_tested(
    old: Bundle, data: LearningData, names: list[str], known: Refit, backbone: Backbone | None
) -> _Parts:
    """Score the first training images out of fold, and the others by all."""
    tests_itself = old.manifest.tests_itself
    if backbone is None:
        raise ValueError("a model that the training images calibrate stands on a frozen backbone")
    parts = _scored(data, known, without=(HELD_OUT, DERIVED) if tests_itself else (HELD_OUT,))
    scores, logits = out_of_fold(old, data, names, known, backbone=backbone, derived=tests_itself)
    own = ~data.arrays[REVIEWED]
    labels = parts.labels | {HELD_OUT: data.arrays[f"{TRAIN}/labels"][own]}
    scores, logits = parts.scores | scores, parts.logits | logits
    if known.members:
        tail, rule = old.manifest.tail, old.manifest.combination
        sums = cross_combined(scores, HELD_OUT, known.members, tail=tail, rule=rule)
        for part, one in sums.items():
            scores[part][COMBINED] = one
    if tests_itself:
        scores[TEST], logits[TEST], labels[TEST] = (
            scores[HELD_OUT],
            logits[HELD_OUT],
            labels[HELD_OUT],
        )
    return _Parts(scores, logits, labels)


def _scored(data: LearningData, known: Refit, *, without: tuple[str, ...] = ()) -> _Parts:
    """Score the parts that nothing is fitted to, but those whose names begin with `without`."""
    names = [part for part in data.parts if not part.startswith((TRAIN, FOREIGN, *without))]
    views = {part: views_of(known.network, data, part) for part in names}
    return _Parts(
        {part: known.scores(seen) for part, seen in views.items()},
        {part: seen.logits for part, seen in views.items()},
        {part: data.arrays[f"{part}/labels"] for part in (HELD_OUT, TEST) if part in views},
    )


def _combined(
    scores: Mapping[str, Mapping[str, np.ndarray]],
    members: Sequence[str],
    *,
    tail: float,
    rule: CombinationRule,
) -> dict[str, np.ndarray]:
    """Return the combined score of every part; of the calibration images, all.

    The p-values are fitted to the test images, of which nothing else is learned: so all calibration
    images set the threshold, and are still drawn as fresh ones. For the rates on the test images
    themselves, those of each half are fitted to the other one.
    """
    member_scores = {part: {name: one[name] for name in members} for part, one in scores.items()}
    fitted = Combination.fit(member_scores[TEST], tail=tail, rule=rule)
    sums = {part: fitted.score(one) for part, one in member_scores.items() if part != TEST}
    halves = slice(0, None, 2), slice(1, None, 2)
    tested = np.empty(len(scores[TEST][members[0]]), np.float32)
    for half, other in (halves, halves[::-1]):
        one, rest = (
            {name: x[some] for name, x in member_scores[TEST].items()} for some in (half, other)
        )
        tested[half] = Combination.fit(rest, tail=tail, rule=rule).score(one)
    return sums | {TEST: tested}


def _own(asked: Mapping[str, Detector]) -> dict[str, float]:
    return {name: one.threshold for name, one in asked.items() if one.threshold is not None}


def _measured(parts: _Parts) -> dict[str, np.ndarray]:
    """Return what the model is assessed by, see `Fitted.scores`."""
    tested = {
        f"{part}/{name}": own
        for part, one in parts.scores.items()
        if part != HELD_OUT
        for name, own in one.items()
    }
    predicted = {
        f"{part}/predicted": one.argmax(dim=1).numpy() for part, one in parts.logits.items()
    }
    return tested | predicted | {f"{TEST}/labels": parts.labels[TEST]}


def _metrics(
    parts: _Parts,
    data: LearningData,
    limits: Mapping[str, Mapping[str, float]],
    detector: str,
    corrections: Corrections,
) -> dict[str, Any]:
    """Return of metrics_all.json what a model is built from."""
    scores, threshold = parts.scores, limits[detector]["in_force"]
    ours, labels = scores[TEST][detector], parts.labels[TEST]
    predicted = parts.logits[TEST].argmax(dim=1).numpy()
    numbers: dict[str, float | str | None] = dict.fromkeys(
        ("auroc", "auroc_low", "auroc_high", "false_accept")
    )
    numbers["false_reject"] = round(float((~decide(ours, threshold)).mean()), 4)
    if ANOMALIES in scores:
        others = scores[ANOMALIES][detector]
        options, rng = data.parameters.evaluate, np.random.default_rng(data.parameters.seed)
        numbers |= {"auroc": roc_auc(ours, others)}
        numbers |= auroc_interval(ours, others, resamples=options.resamples, rng=rng)
        numbers |= {"false_accept": round(float(decide(others, threshold).mean()), 4)}
    else:
        numbers |= {"reason": "there is no anomaly to test with"}
    return {
        "data": _counts(data, corrections, tested=len(labels)),
        "classification": {
            "accuracy": round(float((predicted == labels).mean()), 4)
            if len(corrections.class_names) > 1
            else None
        },
        "detectors": {detector: numbers},
    }


def _counts(data: LearningData, corrections: Corrections, *, tested: int) -> dict[str, int]:
    """Return part -> number of images; training images may have tested the model."""
    sizes = {
        name.rpartition("/")[0]: len(array)
        for name, array in data.arrays.items()
        if name not in (SHOWN, PREDICTED, REVIEWED) and not name.startswith("derived/")
    }
    ours = {"reviewed_ours": int((corrections.labels >= 0).sum())}
    sizes.setdefault(TEST, tested)
    return {part.replace("/", "_"): n for part, n in sizes.items() if n} | ours


def _trained_on(old: Bundle, bundle: Bundle) -> TrainedOn:
    """Return what the model was trained on: the reviewed images of all reviews are counted."""
    images = dict(bundle.manifest.trained_on.images)
    images["reviewed_ours"] += old.manifest.trained_on.images.get("reviewed_ours", 0)
    return old.manifest.trained_on.model_copy(update={"images": images})


def _training(
    old: Bundle, data: LearningData, arrays: Arrays, corrections: Corrections
) -> dict[str, np.ndarray]:
    """Return the training images that pages show: those of the old model, and the reviewed ones."""
    shown = data.arrays[SHOWN]
    training = {name: array[shown] for name, array in arrays.items()}
    pictures, ours = dict(old.arrays["training"]), corrections.pixels[corrections.labels >= 0]
    if len(ours):
        for name, added in packed(ours).items():
            start = len(pictures["photos"]) if name == "photo_ends" else 0
            pictures[f"new {name}"] = np.concatenate(
                [pictures[name], added + added.dtype.type(start)]
            )
        for name in packed(ours[:1]):
            pictures[name] = pictures.pop(f"new {name}")
    return pictures | training
