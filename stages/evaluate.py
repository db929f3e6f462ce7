"""Measure the classifier and every detector on the test images.

Reads   manifest     csv: how many images each part has
        history      csv: the training, epoch by epoch
        scores       safetensors: scores, labels and predictions; about: thresholds
Writes  metrics      json: the numbers, rates as shares with four decimals
        plots        folder of csv: roc/DETECTOR, histogram/DETECTOR, training, confusion
"""

from pathlib import Path

import numpy as np
import pandas as pd

from belong import metrics as measure
from belong.artefacts import load_about, load_arrays, save_csv, save_json, whole_folder
from stages.params.evaluate import Params
from stages.program import run

Arrays = dict[str, np.ndarray]


def main(
    params: Path, manifest: Path, history: Path, scores: Path, metrics: Path, plots: Path
) -> None:
    """Measure, and write down."""
    values = Params.load(params).evaluate
    about, arrays = load_about(scores), load_arrays(scores)
    names, alpha, thresholds = (about[key] for key in ("class_names", "alpha", "thresholds"))
    truth, predicted = arrays["normal/test/labels"], arrays["normal/test/predicted"]
    tested = {
        name: {kind: arrays[f"{kind}/test/{name}"] for kind in ("normal", "anomaly")}
        for name in thresholds
    }
    with whole_folder(plots) as folder:
        save_csv(folder / "training.csv", pd.read_csv(history))
        save_csv(folder / "confusion.csv", named(truth, predicted, names))
        for name, pair in tested.items():
            roc = measure.roc_points(**pair, most=values.curve_points)
            save_csv(folder / "roc" / f"{name}.csv", roc)
            bars = measure.histogram(pair, bins=values.histogram_bins)
            save_csv(folder / "histogram" / f"{name}.csv", bars)
    report = {
        "data": counts(manifest),
        "classification": measure.classification(truth, predicted),
        "calibration": measure.calibration(
            arrays["normal/calibration/mahalanobis"],
            tested["mahalanobis"]["normal"],
            thresholds["mahalanobis"]["training"],
            alpha=alpha,
        ),
        "detectors": {
            name: measure.detector(**pair, threshold=thresholds[name]["in_force"])
            for name, pair in tested.items()
        },
        "floor": measure.floors(**{kind: len(x) for kind, x in tested["mahalanobis"].items()}),
    }
    save_json(metrics, measure.rounded(report))


def counts(manifest: Path) -> dict[str, int]:
    """Return the number of images of each part, and of those that were dropped."""
    parts = pd.read_csv(manifest, usecols=["part"])["part"].value_counts().sort_index()
    return {str(part).replace("/", "_"): int(n) for part, n in parts.items()}


def named(truth: np.ndarray, predicted: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Return one row per image: its class and the predicted one, by name."""
    return pd.DataFrame({"actual": np.take(names, truth), "predicted": np.take(names, predicted)})


if __name__ == "__main__":
    run(main)
