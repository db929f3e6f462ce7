"""Build a model from trained networks, fitted detectors and metrics, without unused arrays."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from belong.calibration.sample_size import FITTING, rejectable
from belong.calibration.verdict import kind_in_force
from belong.calibration.verdict_rule import Calibration, VerdictRule
from belong.data.image_form import ImageForm, rgb_of
from belong.detectors.combination import CombinationRule
from belong.evaluation.assessment import (
    Answers,
    Assessment,
    Promise,
    Ranking,
    Training,
    assess,
)
from belong.evaluation.learning_curve import LearningCurve
from belong.models.backbones.card import BackboneCard
from belong.parameters import (
    FROZEN,
    BundleSection,
    CalibrationSection,
    CombinedSection,
    ImagesSection,
)
from belong.prediction.bundle import Arrays, Bundle
from belong.prediction.manifest import FORMAT, CrossConformal, Manifest, Measured, TrainedOn
from belong.prediction.rule_of_model import PREDICTED
from belong.prediction.training_thumbnails import packed
from belong.runtime import portable_math
from belong.runtime.environment import versions
from belong.runtime.errors import InputError

# The registry of detectors has the same information, but imports torch.
CODED = {"reconstruction", "code_knn", "code_iforest"}  # detectors that need the autoencoder
GAUSSIANS, HEAD = ("mahalanobis", "mahalanobis_min"), "mlp_head"
NORMAL, ANOMALY, SYNTHETIC = "normal/test", "anomaly/test", "derived/"  # assessed parts
HELD_OUT = "normal/calibration"


@dataclass(frozen=True)
class Fitted:
    """The results of a fit from which a model is built.

    Attributes:
        images: (n, ch, h, w) uint8, the training images.
        labels: (n,) int64, classes of the training images, 0..c-1.
        features: (n, d) float32, features of the training images.
        class_names: c class names.
        shape: the keywords for building the network.
        network: the arrays of the classifier.
        backbone: the arrays of the backbone; used only if it is frozen.
        backbone_card: the description of the backbone, or None.
        autoencoder: the arrays of the autoencoder; used only if a detector needs it.
        gaussians: the arrays of `mahalanobis`.
        head: the arrays of `mlp_head`.
        detectors: `DETECTOR/ARRAY` of all other detectors.
        held_out: detector -> scores (m,) of the calibration images; half as many for `combined`,
            except in a cross-conformal model.
        scores: `PART/DETECTOR` (n,) scores of the images of each part, `PART/predicted` (n,) int64,
            and `normal/test/labels` (n,) int64; see `assessment_of`.
        thresholds: detector -> its thresholds, see `belong.calibration.thresholds`.
        members: candidate of `combined` -> `left_out`, the reason why it is no member, or None.
        missing: detector -> the reason why it has no scores.
        temperature: of the logits, see `belong.detectors.score_parts`.
        metrics: the content of metrics_all.json.
        cross: the cross-conformal calibration; None if images are held out.
        learning_curve: the estimated benefit of more images; None if not measured.
    """

    images: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    class_names: Sequence[str]
    shape: Mapping[str, int]
    network: Arrays
    backbone: Arrays
    backbone_card: BackboneCard | None
    autoencoder: Arrays
    gaussians: Arrays
    head: Arrays
    detectors: Arrays
    held_out: Arrays
    scores: Arrays
    thresholds: Mapping[str, Mapping[str, float]]
    members: Mapping[str, Mapping[str, Any]]
    missing: Mapping[str, str]
    temperature: float
    metrics: Mapping[str, Any]
    cross: CrossConformal | None = None
    learning_curve: LearningCurve | None = None


@dataclass(frozen=True)
class Settings:
    """The parameters that a model depends on; `normal` and `anomaly` are paths of data sets."""

    seed: int
    lambda_: float
    network: str
    normal: str
    anomaly: str
    images: ImagesSection
    combined: CombinedSection
    combination: CombinationRule
    calibration: CalibrationSection
    bundle: BundleSection


def build_bundle(fitted: Fitted, settings: Settings, *, where: Path) -> Bundle:
    """Build the model; its manifest lists no files before `Bundle.save`.

    `where` is the source of the settings, for messages.

    Raises:
        InputError: the deciding detector has no scores, or too few calibration images for alpha.
    """
    detector, calibration = settings.bundle.detector, settings.calibration
    if detector not in fitted.thresholds:
        why = fitted.missing.get(detector, "it has no scores")
        raise InputError(f"{where}: bundle.detector: got {detector!r}, but {why}")
    thresholds, held_out = fitted.thresholds[detector], fitted.held_out
    n = len(held_out[detector])
    # A single detector has no combination.
    candidates = fitted.members if detector == "combined" else {}
    left_out = {name: one["left_out"] for name, one in candidates.items()}
    data = fitted.metrics["data"]
    _, channels, height, width = fitted.images.shape
    kind = kind_in_force(thresholds, calibration.threshold)
    predicted = fitted.scores[f"{HELD_OUT}/{PREDICTED}"]
    if len(predicted) > n:  # half of the images, as in `detectors.combined.combined`
        predicted = predicted[1::2]
    if kind == "calibrated":
        rule = VerdictRule.of(
            held_out[detector],
            predicted,
            classes=len(fitted.class_names),
            alpha=calibration.alpha,
            guarantee=calibration.guarantee,
            is_cross=fitted.cross is not None,
        )
    else:
        rank = rejectable(n, calibration.alpha)
        pooled = Calibration(held_out[detector], rank, thresholds["in_force"])
        rule = VerdictRule(calibration.guarantee, calibration.alpha, pooled, {}, {})
    numbers = measured(fitted, detector, rule)
    manifest = Manifest(
        format=FORMAT,
        # Without the patch version of Python, which does not change the results.
        created_by={"belong": version("belong")}
        | versions()
        | {"math": portable_math.current()}
        | {"Python": "{}.{}".format(*sys.version_info)},
        class_names=list(fitted.class_names),
        form=ImageForm(
            channels=1 if channels == 1 else 3,
            height=height,
            width=width,
            color="grey" if channels == 1 else "rgb",
            resize="cover",
            background=rgb_of(settings.images.background),
            max_pixels=settings.images.max_pixels,
        ),
        network=settings.network,
        shape=dict(fitted.shape),
        backbone=fitted.backbone_card,
        detector=detector,
        members=[name for name, why in left_out.items() if why is None],
        left_out={name: why for name, why in left_out.items() if why is not None},
        tail=settings.combined.tail,
        combination=settings.combination,
        temperature=fitted.temperature,
        alpha=calibration.alpha,
        guarantee=calibration.guarantee,
        n_calibration=n,
        cross_conformal=fitted.cross,
        threshold=thresholds["in_force"],
        distance_limit=fitted.thresholds["mahalanobis"]["calibrated"],
        threshold_from=kind,
        measured=numbers,
        trained_on=TrainedOn(
            normal=Path(settings.normal).name,
            anomalies=Path(settings.anomaly).name if "anomaly_test" in data else None,
            images=data,
            weight=settings.lambda_,
            seed=settings.seed,
        ),
        files={},
        assessment=assessment_of(
            fitted,
            detector,
            rule,
            Promise(
                calibration.alpha,
                numbers.expected,
                is_calibrated=kind == "calibrated",
                is_measured=not (fitted.cross and fitted.cross.tests_itself),
            ),
        ),
        learning_curve=fitted.learning_curve,
    )
    # The half for the p-values, as in `detectors.combined.combined`.
    fitting = slice(None) if fitted.cross else FITTING
    of_members = {f"member/{name}": held_out[name][fitting] for name in manifest.members}
    arrays = {
        "network": fitted.network,
        "backbone": fitted.backbone if settings.network == FROZEN else {},
        "autoencoder": fitted.autoencoder if CODED.intersection(manifest.uses) else {},
        "detectors": of_detectors(fitted.gaussians, fitted.head, fitted.detectors, manifest.uses),
        "calibration": {detector: held_out[detector], PREDICTED: predicted} | of_members,
        "training": training_images(
            fitted.images,
            fitted.features,
            fitted.labels,
            most=settings.bundle.training_images,
            rng=shown_by(settings.seed),
        ),
    }
    return Bundle(manifest, arrays)


def of_detectors(
    gaussians: Arrays, head: Arrays, others: Arrays, uses: Collection[str]
) -> dict[str, np.ndarray]:
    """Return the arrays of the detectors in `uses`, as `DETECTOR/ARRAY`; see `Fitted`."""
    all_arrays = {f"{name}/{key}": array for name in GAUSSIANS for key, array in gaussians.items()}
    all_arrays |= {f"{HEAD}/{key}": array for key, array in head.items()}
    all_arrays |= others
    return {name: array for name, array in all_arrays.items() if name.split("/")[0] in uses}


def measured(fitted: Fitted, detector: str, rule: VerdictRule) -> Measured:
    """Return the metrics of the deciding detector, by the verdicts of `rule`."""
    numbers, parts = fitted.metrics["detectors"][detector], fitted.metrics["data"]
    normal = parts["normal_test"]
    counts = np.bincount(fitted.scores[f"{NORMAL}/{PREDICTED}"], minlength=len(fitted.class_names))
    low, high = (count / normal for count in rule.rejects_range(counts.tolist()))
    if rule.of_class:  # the metrics use the threshold of all classes
        verdicts = verdicts_of(fitted, detector, rule)
        numbers = numbers | {"false_reject": round(float((~verdicts[NORMAL]).mean()), 4)}
        if numbers["false_accept"] is not None:
            numbers["false_accept"] = round(float(verdicts[ANOMALY].mean()), 4)
    return Measured(
        accuracy=fitted.metrics["classification"]["accuracy"],
        normal_images=normal,
        anomalies=parts.get("anomaly_test", 0),
        auroc=numbers["auroc"],
        false_reject=numbers["false_reject"],
        expected=(round(low, 4), round(high, 4)),
        false_accept=numbers["false_accept"],
    )


def verdicts_of(fitted: Fitted, detector: str, rule: VerdictRule) -> dict[str, np.ndarray]:
    """Return part -> verdicts (n,), for each assessed part."""
    scores = fitted.scores
    return {
        part: rule.belongs(scores[f"{part}/{detector}"], scores[f"{part}/{PREDICTED}"])
        for part in sorted({name.rpartition("/")[0] for name in scores})
        if part in (NORMAL, ANOMALY) or part.startswith(SYNTHETIC)
    }


def assessment_of(fitted: Fitted, detector: str, rule: VerdictRule, promise: Promise) -> Assessment:
    """Return the assessment of the model, by the verdicts of `rule` on test images."""
    numbers, card = fitted.metrics["detectors"][detector], fitted.backbone_card
    verdicts, scores = verdicts_of(fitted, detector, rule), fitted.scores
    answers = Answers(
        class_names=fitted.class_names,
        labels=scores[f"{NORMAL}/labels"],
        predicted=scores[f"{NORMAL}/predicted"],
        accepted=verdicts.pop(NORMAL),
        anomalies=verdicts.pop(ANOMALY, np.empty(0, bool)),
        synthetic={part.removeprefix(SYNTHETIC): one for part, one in verdicts.items()},
        ranking=(
            Ranking(numbers["auroc"], numbers["auroc_low"], numbers["auroc_high"])
            if numbers["auroc"] is not None
            else None
        ),
        why_no_anomalies=numbers.get("reason") or Answers.why_no_anomalies,
    )
    training = Training(
        images=np.bincount(fitted.labels, minlength=len(fitted.class_names)),
        lacks_weights=fitted.images.shape[1] > 1 and (card is None or card.is_drawn),
    )
    curve = fitted.learning_curve
    return assess(answers, promise, training, more_images=curve.sentence if curve else None)


def training_images(
    images: np.ndarray,
    features: np.ndarray,
    labels: np.ndarray,
    *,
    most: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draw at most `most` training images for pages, about as many of each class.

    Images (n, ch, h, w) uint8, features (n, d), labels (n,) 0..c-1 -> `features` (m, d), `labels`
    (m,) and their pictures, see `training_thumbnails`, in the order of the training images.
    """
    rows = shown_rows(labels, most=most, rng=rng)
    return {
        "features": features[rows],
        "labels": labels[rows],
    } | packed(images[rows])


def shown_rows(labels: np.ndarray, *, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return the sorted indices of the images to show: labels (n,) 0..c-1 -> (m,) int64."""
    classes = np.unique(labels)
    of_each = max(1, most // len(classes))
    samples = [rng.permutation(np.flatnonzero(labels == label))[:of_each] for label in classes]
    return np.sort(np.concatenate(samples))


def shown_by(seed: int) -> np.random.Generator:
    """Return the random generator for the shown images, independent of that of the split."""
    return np.random.default_rng([seed, 2])
