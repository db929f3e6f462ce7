"""Measure the classifier and every detector on the test images.

Reads   manifest     csv: how many images each part has
        history      csv: the training, epoch by epoch
        features     safetensors: features of the test images
        gaussians    safetensors: `means`, the centroids of the classes
        scores       safetensors: scores, labels and predictions; about: thresholds, and the
                     detectors that are missing
Writes  metrics      json: the numbers, rates as shares with four decimals; null, with a reason,
                     where there is nothing to measure
        plots        folder of csv: roc/DETECTOR, pr/DETECTOR, histogram/DETECTOR, training,
                     confusion, features, calibration_curve, and anomaly_sets: each detector on
                     each set of anomalies; agreement and picked_classes: which normal images the
                     detectors find anomalous
"""

from pathlib import Path

import numpy as np

from belong.evaluation import metrics as measure
from belong.evaluation.detector_agreement import between_detectors, picked_classes
from belong.evaluation.metrics import by_part, counts, named, why_none
from belong.evaluation.pca import plane, thinned
from belong.parameters import EvaluateSection, Parameters
from belong.runtime.storage import (
    load_about,
    load_arrays,
    load_csv,
    load_kinds,
    save_csv,
    save_json,
    whole_folder,
)
from stages.runner import run

NORMAL, HELD_OUT, ANOMALY = "normal/test", "normal/calibration", "anomaly/test"
KINDS = ("normal", "anomaly")
ABOUT = ("class_names", "alpha", "thresholds", "missing")

Scores = dict[str, dict[str, np.ndarray]]


def main(
    params: Path,
    manifest: Path,
    history: Path,
    features: Path,
    gaussians: Path,
    scores: Path,
    metrics: Path,
    plots: Path,
) -> None:
    """Measure, and write down."""
    loaded = Parameters.load(params)
    values, seed = loaded.evaluate, loaded.seed
    about = load_about(scores, *ABOUT)
    names, thresholds = about["class_names"], about["thresholds"]
    arrays = load_arrays(scores)
    truth, predicted = arrays[f"{NORMAL}/labels"], arrays[f"{NORMAL}/predicted"]
    made = by_part(arrays, list(thresholds))
    normal, held_out = made.pop(NORMAL), made.pop(HELD_OUT)
    anomaly = made.get(ANOMALY, {name: np.empty(0, np.float32) for name in thresholds})
    in_force = {name: kinds["in_force"] for name, kinds in thresholds.items()}
    with whole_folder(plots) as folder:
        sets = {part.removeprefix("derived/").removesuffix("/test"): x for part, x in made.items()}
        matrix = measure.anomaly_sets(normal, sets, in_force)
        save_csv(folder / "anomaly_sets.csv", matrix)
        save_csv(folder / "agreement.csv", between_detectors(normal, top=values.top_images))
        picked = picked_classes(normal, truth, names, share=values.top_share)
        save_csv(folder / "picked_classes.csv", picked)
        save_csv(folder / "training.csv", load_csv(history))
        save_csv(folder / "confusion.csv", named(truth, predicted, names))
        curve = measure.calibration_curve(held_out, normal, points=values.calibration_points)
        save_csv(folder / "calibration_curve.csv", curve)
        vectors = load_kinds(features, KINDS, "test/features")
        drawn = plane(vectors, load_arrays(gaussians, "means")["means"], names).points
        save_csv(folder / "features.csv", thinned(drawn, most=values.feature_points))
        for name in thresholds:
            curves(folder, name, normal[name], anomaly[name], values)
    reason = why_none(manifest)
    report = {
        "data": counts(manifest),
        "classification": measure.classification(truth, predicted),
        "calibration": measure.calibration(
            held_out["mahalanobis"],
            normal["mahalanobis"],
            thresholds["mahalanobis"]["training"],
            alpha=about["alpha"],
        ),
        "detectors": {
            name: measure.detector(
                normal[name],
                anomaly[name],
                truth == predicted,
                threshold=threshold,
                resamples=values.resamples,
                rng=np.random.default_rng(seed),
                why_none=reason,
            )
            for name, threshold in in_force.items()
        }
        | {name: {"auroc": None, "reason": why} for name, why in about["missing"].items()},
        "floor": measure.floors(normal=len(truth), anomaly=len(anomaly["mahalanobis"])),
    }
    save_json(metrics, measure.rounded(report))


def curves(
    folder: Path, name: str, normal: np.ndarray, anomaly: np.ndarray, values: EvaluateSection
) -> None:
    """Write what is drawn of one detector; without anomalies, only its histogram."""
    kinds = {"normal": normal} | ({"anomaly": anomaly} if len(anomaly) else {})
    bars = measure.histogram(kinds, bins=values.histogram_bins)
    save_csv(folder / "histogram" / f"{name}.csv", bars)
    if len(anomaly):
        roc = measure.roc_points(normal, anomaly, most=values.curve_points)
        save_csv(folder / "roc" / f"{name}.csv", roc)
        points = measure.precision_recall_points(normal, anomaly, most=values.curve_points)
        save_csv(folder / "pr" / f"{name}.csv", points)


if __name__ == "__main__":
    run(main)
