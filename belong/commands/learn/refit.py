"""Fit a model again, with corrections: its network, detectors, combination and threshold.

No image of the first fit is needed: `LearningData` has what the network makes of each. The members
of `combined` stay those that were chosen. No reviewed image calibrates: people review what they
doubt, so that these images are not drawn as fresh ones will be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from belong.calibration.sample_size import LEAST_IMAGES
from belong.calibration.thresholds import thresholds
from belong.calibration.verdict import decide
from belong.commands.fit import one_class
from belong.detectors import review_head
from belong.detectors.base import Detector
from belong.detectors.combined import REVIEW_HEAD, Combination, combined
from belong.detectors.fit import fit_gaussians, sections_of, training_of
from belong.detectors.registry import DETECTORS, OF_MODELS, stored_in
from belong.detectors.score_parts import SPREAD
from belong.detectors.temperature_scaling import best_temperature
from belong.evaluation.metrics import auroc_interval, roc_auc
from belong.models.activations import Views
from belong.models.backbones.backbone import Backbone
from belong.models.base import Network
from belong.models.feature_extraction import layers_of
from belong.models.forward_pass import forward_pass
from belong.models.registry import NETWORKS
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.parameters import CombinationRule
from belong.prediction.build_bundle import Fitted, Settings, build_bundle
from belong.prediction.bundle import Bundle
from belong.prediction.learning_data import (
    CODES,
    FOREIGN,
    HELD_OUT,
    PREDICTED,
    REVIEWED,
    SHOWN,
    TEST,
    TRAIN,
    VECTORS,
    LearningData,
)
from belong.prediction.manifest import TrainedOn
from belong.prediction.training_thumbnails import packed

Arrays = Mapping[str, np.ndarray]
COMBINED = "combined"
ANOMALIES = "anomaly/test"


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


def weighted(data: LearningData) -> tuple[LearningData, np.ndarray]:
    """Return the data with the reviewed images as often as they count, and the rows of each.

    A few reviewed images beside hundreds of others would change little: a distance to the 50th
    neighbor does not see 30 of them. So those of a new class count as much as the smallest old
    class, and those of an old one half as much as the others of it.
    """
    labels, is_reviewed = data.arrays[f"{TRAIN}/labels"], data.arrays[REVIEWED]
    old = np.bincount(labels[~is_reviewed], minlength=labels.max() + 1)
    few = np.bincount(labels[is_reviewed], minlength=labels.max() + 1)
    target = np.where(old > 0, old // 2, old[old > 0].min())
    times = np.where(is_reviewed, np.maximum(1, target // np.maximum(few, 1))[labels], 1)
    rows = np.repeat(np.arange(len(labels)), times)
    of_train = [name for name in data.arrays if name.startswith(f"{TRAIN}/") and name != SHOWN]
    repeated = {name: data.arrays[name][rows] for name in of_train}
    return replace(data, arrays={**data.arrays, **repeated}), rows


def foreign_count(data: LearningData) -> int:
    """Count the images marked as not belonging, in this and all earlier reviews."""
    names = [name for name in data.arrays if name.startswith(f"{FOREIGN}/")]
    return len(data.arrays[names[0]]) if names else 0


def has_head(old: Bundle, data: LearningData) -> bool:
    """Return whether the review head can be trained, and calibrated beside the others."""
    is_fitted = bool(old.manifest.members) or _has_enough_tests(data)
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
    data, rows = weighted(whole)
    manifest, values = old.manifest, data.parameters
    names, labels = corrections.class_names, data.arrays[f"{TRAIN}/labels"]
    is_new = bool((corrections.labels >= 0).any())  # else the network stays as it is
    network = _network(old, data, names, backbone if is_new else None)
    views = {part: views_of(network, data, part) for part in data.parts}
    arrays = {key: array for part, one in views.items() for key, array in one.arrays(part).items()}
    arrays |= {key: array for key, array in data.arrays.items() if key.endswith("/labels")}

    predicted = views[HELD_OUT].logits.argmax(dim=1).numpy()
    whole = replace(whole, arrays={**whole.arrays, PREDICTED: predicted})

    members, detector = [*manifest.members], manifest.detector
    head: Arrays = {}
    if has_head(old, data):
        ours, others = (views[part].hidden.numpy() for part in (TRAIN, FOREIGN))
        fitted = review_head.fit(ours, others, options=values.head, seed=values.seed)
        head = {f"{REVIEW_HEAD}/{key}": array for key, array in fitted.arrays().items()}
        members = [one for one in members or [detector] if one != REVIEW_HEAD] + [REVIEW_HEAD]
        detector = COMBINED
    gaussians, _ = fit_gaussians(
        arrays[f"{TRAIN}/features"], labels, names, options=values.mahalanobis
    )
    others_of, weights = _detectors(old, data, arrays, network, names), network.arrays()
    others_of |= head
    uses = [*members] if members else [detector]
    asked = {
        name: OF_MODELS[name].from_arrays(_of(name, others_of, gaussians))
        for name in dict.fromkeys([*uses, "mahalanobis"])
    }
    scores = _scores(
        asked, {part: one for part, one in views.items() if part not in (TRAIN, FOREIGN)}
    )
    if members:
        tail, rule = manifest.tail, manifest.combination
        sums = (
            _combined(scores, members, tail=tail, rule=rule)
            if _has_enough_tests(data)
            else combined(scores, HELD_OUT, members, tail=tail, rule=rule)
        )
        for part, one in sums.items():
            scores[part][COMBINED] = one
    calibration_labels = torch.from_numpy(data.arrays[f"{HELD_OUT}/labels"])
    logits = views[HELD_OUT].logits
    temperature = round(best_temperature(logits, calibration_labels, spread=SPREAD), 4)
    limits = thresholds(
        scores[HELD_OUT],
        _own(asked),
        alpha=manifest.alpha,
        in_force=values.calibration.threshold,
        guarantee=manifest.guarantee,
    )
    # Each image once, in the order of `whole`: the rows come in its order.
    _, once = np.unique(rows, return_index=True)
    all_arrays = arrays | {
        f"{TRAIN}/{name}": arrays[f"{TRAIN}/{name}"][once] for name in ("features", "labels")
    }
    fitted_to = Fitted(
        images=np.broadcast_to(np.uint8(0), (len(once), *corrections.pixels.shape[1:])),
        labels=all_arrays[f"{TRAIN}/labels"],
        features=all_arrays[f"{TRAIN}/features"],
        class_names=names,
        shape=network.shape,
        network=weights,
        backbone=old.arrays.get("backbone", {}),
        backbone_card=manifest.backbone,
        autoencoder=old.arrays.get("autoencoder", {}),
        gaussians=gaussians,
        head={},
        detectors=others_of,
        held_out=scores[HELD_OUT],
        scores=_measured(scores, views, data),
        thresholds=limits,
        members={name: {"left_out": None} for name in members}
        | {name: {"left_out": why} for name, why in manifest.left_out.items()},
        missing={},
        temperature=temperature,
        metrics=_metrics(scores, views, whole, limits, detector, corrections),
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
        bundle=values.bundle.model_copy(update={"training_images": 1, "detector": detector}),
    )
    bundle = build_bundle(fitted_to, settings, where=Path("learn"))
    calibration = dict(bundle.arrays["calibration"])
    if members and _has_enough_tests(data):
        calibration |= {f"member/{name}": scores[TEST][name] for name in members}
    training = _training(old, whole, all_arrays, corrections)
    as_before = {"form": manifest.form, "trained_on": _trained_on(old, bundle)}
    updated = bundle.manifest.model_copy(update=as_before)
    return Bundle(
        updated, {**bundle.arrays, "training": training, "calibration": calibration}
    ), whole


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


def views_of(network: Network, data: LearningData, part: str) -> Views:
    """Return the detector inputs of the images of a part."""
    arrays = data.arrays
    if not data.is_frozen:
        part_layers = {
            name: arrays[f"{part}/{name}"] for name in ("features", "logits", "hidden", "maps")
        }
        part_layers |= _codes(arrays, part, len(part_layers["features"]))
        return Views(**{name: torch.from_numpy(array) for name, array in part_layers.items()})
    vectors = torch.from_numpy(arrays[f"{part}/{VECTORS}"])
    device = next(network.parameters()).device
    layers = forward_pass(
        lambda batch: layers_of(network, batch), vectors, batch_size=network.batch, device=device
    )
    codes = _codes(arrays, part, len(vectors))
    return Views(*layers, *(torch.from_numpy(codes[name]) for name in CODES))


def _codes(arrays: Arrays, part: str, n: int) -> dict[str, np.ndarray]:
    """Return what the autoencoder makes of images; nothing where no detector looks at it."""
    empty = {"codes": np.empty((n, 0), np.float32), "reconstruction_error": np.empty(n, np.float32)}
    return {name: arrays.get(f"{part}/{name}", empty[name]) for name in CODES}


def _network(
    old: Bundle, data: LearningData, names: list[str], backbone: Backbone | None
) -> Network:
    """Return the network; above a frozen backbone it is trained again, as `belong fit` does it."""
    manifest, values = old.manifest, data.parameters
    if not data.is_frozen or backbone is None:
        kind = NETWORKS[manifest.network]
        return kind.from_arrays(old.arrays["network"], manifest.shape, manifest.backbone).eval()

    def part(name: str) -> tuple[Tensor, Tensor]:
        vectors, labels = (data.arrays[f"{name}/{key}"] for key in (VECTORS, "labels"))
        return torch.from_numpy(vectors), torch.from_numpy(labels)

    if len(names) == 1:
        drawn = one_class.untrained(
            manifest.network,
            part(TRAIN)[0],
            embedding=values.train.embedding,
            backbone=backbone,
            generator=torch.Generator().manual_seed(values.seed),
        )
        return drawn.eval()
    trained, _ = fit_classifier(
        *part(TRAIN),
        part(HELD_OUT),
        network=manifest.network,
        classes=len(names),
        options=TrainingOptions(lambda_=values.lambda_, **values.train.model_dump()),
        generator=torch.Generator().manual_seed(values.seed),
        device=torch.device("cpu"),
        backbone=backbone,
    )
    return trained.eval()


def _detectors(
    old: Bundle, data: LearningData, arrays: Arrays, network: Network, names: list[str]
) -> dict[str, np.ndarray]:
    """Fit the detectors that the model asks, but for the Gaussians: `DETECTOR/ARRAY`."""
    weights, values = network.arrays(), data.parameters
    weight, bias = weights["classifier.weight"], weights["classifier.bias"]
    training = training_of(arrays, names, weight, bias)
    sections = sections_of(values.detectors, values.seed)
    fitted: dict[str, np.ndarray] = {}
    for name in old.manifest.uses:
        if name in stored_in("detectors"):
            detector_arrays = DETECTORS[name].fit(training, **sections.get(name, {})).arrays()
        elif name in stored_in("head"):
            detector_arrays = old.of_detector(name)
        else:
            continue
        fitted |= {f"{name}/{key}": array for key, array in detector_arrays.items()}
    return fitted


def _of(name: str, others: Arrays, gaussians: Arrays) -> dict[str, np.ndarray]:
    if name in stored_in("gaussians"):
        return dict(gaussians)
    start = f"{name}/"
    return {key.removeprefix(start): x for key, x in others.items() if key.startswith(start)}


def _own(asked: Mapping[str, Detector]) -> dict[str, float]:
    return {name: one.threshold for name, one in asked.items() if one.threshold is not None}


def _scores(
    asked: Mapping[str, Detector], views: Mapping[str, Views]
) -> dict[str, dict[str, np.ndarray]]:
    return {
        part: {name: one.score(seen).numpy() for name, one in asked.items()}
        for part, seen in views.items()
    }


def _measured(
    scores: Mapping[str, Mapping[str, np.ndarray]], views: Mapping[str, Views], data: LearningData
) -> dict[str, np.ndarray]:
    """Return what the model is assessed by, see `Fitted.scores`."""
    tested = {
        f"{part}/{name}": own
        for part, one in scores.items()
        if part != HELD_OUT
        for name, own in one.items()
    }
    predicted = {f"{part}/predicted": views[part].logits.argmax(dim=1).numpy() for part in scores}
    return tested | predicted | {f"{TEST}/labels": data.arrays[f"{TEST}/labels"]}


def _metrics(
    scores: Mapping[str, Mapping[str, np.ndarray]],
    views: Mapping[str, Views],
    data: LearningData,
    limits: Mapping[str, Mapping[str, float]],
    detector: str,
    corrections: Corrections,
) -> dict[str, Any]:
    """Return of metrics_all.json what a model is built from."""
    ours, threshold = scores[TEST][detector], limits[detector]["in_force"]
    predicted = views[TEST].logits.argmax(dim=1).numpy()
    labels = data.arrays[f"{TEST}/labels"]
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
        "data": _counts(data, corrections),
        "classification": {
            "accuracy": round(float((predicted == labels).mean()), 4)
            if len(corrections.class_names) > 1
            else None
        },
        "detectors": {detector: numbers},
    }


def _counts(data: LearningData, corrections: Corrections) -> dict[str, int]:
    """Return part -> number of images."""
    sizes = {
        name.rpartition("/")[0]: len(array)
        for name, array in data.arrays.items()
        if name not in (SHOWN, PREDICTED, REVIEWED) and not name.startswith("derived/")
    }
    ours = {"reviewed_ours": int((corrections.labels >= 0).sum())}
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
    training = {name: arrays[f"{TRAIN}/{name}"][shown] for name in ("features", "labels")}
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
