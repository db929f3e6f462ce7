"""Measure the classifier and every detector on the test images: all metrics and curves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from belong.calibration.coverage import CROSS
from belong.evaluation import metrics as measure
from belong.evaluation.detector_agreement import between_detectors, picked_classes
from belong.evaluation.open_set_metrics import calibration_error
from belong.evaluation.pca import plane, thinned
from belong.parameters import EvaluateSection

NORMAL, HELD_OUT, ANOMALY = "normal/test", "normal/calibration", "anomaly/test"

# Detectors compared between runs: those of the paper and the default one.
COMPARED = ("mahalanobis", "mlp_head", "combined")

Scores = dict[str, dict[str, np.ndarray]]
Tables = dict[str, pd.DataFrame]


def evaluate(
    scores: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    *,
    manifest: pd.DataFrame,
    vectors: Mapping[str, np.ndarray],
    centroids: np.ndarray,
    options: EvaluateSection,
    seed: int,
) -> tuple[dict[str, Any], Tables]:
    """Compute the metrics, rates as shares with four decimals, and the curves.

    Args:
        scores: `PART/DETECTOR` (n,) float32, `PART/predicted` and `PART/labels` (n,) int64,
            `normal/test/confidence` and `normal/test/raw_confidence` (n,) float32.
        about: `class_names`; `alpha`; `thresholds`, detector -> kind -> score; `members`,
            candidate of `combined` -> its `Member` as a dict; `missing`, detector -> the reason why
            it has no scores; `temperature` of the logits; `calibration`, "cross" for a
            cross-conformal calibration.
        manifest: columns `part` and `is_anomaly`, a row for each image.
        vectors: "normal", and "anomaly" if there are any -> features of test images (n, d).
        centroids: (c, d) mean features of the classes.
        options: options such as the number of points per curve.
        seed: random seed of the bootstrap resamples.

    Returns:
        The metrics: None, with a `reason`, if there is nothing to measure. The tables:
        `roc/DETECTOR`, `pr/DETECTOR`, `histogram/DETECTOR`, `confusion`, `features`,
        `calibration_curve`, `anomaly_sets` (each detector on each set of anomalies), `agreement`
        and `picked_classes` (which normal images the detectors find anomalous).
    """
    names, thresholds = about["class_names"], about["thresholds"]
    is_cross = about.get("calibration") == CROSS
    truth, predicted = scores[f"{NORMAL}/labels"], scores[f"{NORMAL}/predicted"]
    parts = by_part(scores, list(thresholds))
    normal, held_out = parts.pop(NORMAL), parts.pop(HELD_OUT)
    anomaly = parts.get(ANOMALY, {name: np.empty(0, np.float32) for name in thresholds})
    in_force = {name: kinds["in_force"] for name, kinds in thresholds.items()}
    sets = {set_of(part): x for part, x in parts.items()}
    points = plane(vectors, centroids, names).points
    tables = {
        "anomaly_sets": measure.anomaly_sets(normal, sets, in_force),
        "agreement": between_detectors(normal, top=options.top_images),
        "picked_classes": picked_classes(normal, truth, names, share=options.top_share),
        "confusion": measure.named(truth, predicted, names),
        "calibration_curve": measure.calibration_curve(
            held_out, normal, points=options.calibration_points, is_cross=is_cross
        ),
        "features": thinned(points, most=options.feature_points),
    }
    for name in thresholds:
        tables |= curves(name, normal[name], anomaly[name], options)
    reason = measure.why_none(manifest)
    numbers = {
        "data": measure.counts(manifest),
        "classification": classification(scores, about),
        "calibration": measure.calibration(
            held_out["mahalanobis"],
            normal["mahalanobis"],
            thresholds["mahalanobis"]["training"],
            alpha=about["alpha"],
            is_cross=is_cross,
        )
        | ({"method": CROSS} if is_cross else {}),
        "detectors": {
            name: measure.detector(
                normal[name],
                anomaly[name],
                truth == predicted,
                threshold=threshold,
                resamples=options.resamples,
                rng=np.random.default_rng(seed),
                why_none=reason,
            )
            for name, threshold in in_force.items()
        }
        | {name: {"auroc": None, "reason": why} for name, why in about["missing"].items()},
        "members": about["members"],
        "floor": measure.floors(normal=len(truth), anomaly=len(anomaly["mahalanobis"])),
    }
    return measure.rounded(numbers), tables


def classification(scores: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> dict[str, Any]:
    """Measure the classification of the test images; with one class, return the reason for none."""
    truth, predicted = scores[f"{NORMAL}/labels"], scores[f"{NORMAL}/predicted"]
    if len(about["class_names"]) == 1:
        reason = "the images have one class"
        return {"accuracy": None, "f1_macro": None, "n": len(truth), "reason": reason}
    return measure.classification(truth, predicted) | {
        "ece": calibration_error(scores[f"{NORMAL}/confidence"], truth == predicted),
        "ece_raw": calibration_error(scores[f"{NORMAL}/raw_confidence"], truth == predicted),
        "temperature": about["temperature"],
    }


def compared(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ten metrics for a comparison of runs; None for a missing one.

    Their names are short, so that the columns of `dvc exp show` fit a screen: `frr` is the
    false-rejection rate.
    """
    rates = {"auroc": "auroc", "fpr95": "fpr95", "frr": "false_reject"}
    return {"accuracy": numbers["classification"]["accuracy"]} | {
        name: {short: numbers["detectors"][name].get(rate) for short, rate in rates.items()}
        for name in COMPARED
    }


def set_of(part: str) -> str:
    """Return the name of a part's set of anomalies."""
    return part.removeprefix("derived/").removeprefix("further/").removesuffix("/test")


def by_part(arrays: Mapping[str, np.ndarray], detectors: list[str]) -> Scores:
    """Return part -> detector -> scores (n,), the parts in alphabetical order."""
    parts = sorted({name.rpartition("/")[0] for name in arrays})
    return {part: {name: arrays[f"{part}/{name}"] for name in detectors} for part in parts}


def curves(name: str, normal: np.ndarray, anomaly: np.ndarray, options: EvaluateSection) -> Tables:
    """Return the curves of one detector; without anomalies, only its histogram."""
    kinds = {"normal": normal} | ({"anomaly": anomaly} if len(anomaly) else {})
    tables = {f"histogram/{name}": measure.histogram(kinds, bins=options.histogram_bins)}
    if len(anomaly):
        most = options.curve_points
        tables[f"roc/{name}"] = measure.roc_points(normal, anomaly, most=most)
        tables[f"pr/{name}"] = measure.precision_recall_points(normal, anomaly, most=most)
    return tables
