"""Measure the classifier and every detector on the test images.

Reads   manifest     csv: how many images each part has
        history      csv: the training, epoch by epoch
        scores       safetensors: scores, labels and predictions; about: thresholds
Writes  metrics      json: the numbers, rates as shares with four decimals
        plots        folder of csv: roc/DETECTOR, histogram/DETECTOR, training, confusion, and
                     anomaly_sets: each detector on each set of anomalies; agreement and
                     picked_classes: which normal images the detectors find anomalous
"""

from pathlib import Path

import numpy as np
import pandas as pd

from belong import metrics as measure
from belong.agreement import between_detectors, picked_classes
from belong.artefacts import load_about, load_arrays, load_csv, save_csv, save_json, whole_folder
from belong.derived import DERIVED
from stages.params.evaluate import Params
from stages.program import run

Arrays = dict[str, np.ndarray]


def main(
    params: Path, manifest: Path, history: Path, scores: Path, metrics: Path, plots: Path
) -> None:
    """Measure, and write down."""
    loaded = Params.load(params)
    values, seed = loaded.evaluate, loaded.seed
    about, arrays = load_about(scores, "class_names", "alpha", "thresholds"), load_arrays(scores)
    names, alpha, thresholds = (about[key] for key in ("class_names", "alpha", "thresholds"))
    truth, predicted = arrays["normal/test/labels"], arrays["normal/test/predicted"]
    tested = {
        name: {kind: arrays[f"{kind}/test/{name}"] for kind in ("normal", "anomaly")}
        for name in thresholds
    }
    sets = {"anomaly": {name: pair["anomaly"] for name, pair in tested.items()}}
    for kind in DERIVED:
        sets[kind] = {name: arrays[f"derived/{kind}/{name}"] for name in thresholds}
    normal = {name: pair["normal"] for name, pair in tested.items()}
    with whole_folder(plots) as folder:
        matrix = measure.anomaly_sets(
            normal,
            sets,
            {name: kinds["in_force"] for name, kinds in thresholds.items()},
        )
        save_csv(folder / "anomaly_sets.csv", matrix)
        save_csv(folder / "agreement.csv", between_detectors(normal, top=values.top_images))
        picked = picked_classes(normal, truth, names, share=values.top_share)
        save_csv(folder / "picked_classes.csv", picked)
        save_csv(folder / "training.csv", load_csv(history))
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
            | measure.auroc_interval(
                **pair, resamples=values.resamples, rng=np.random.default_rng(seed)
            )
            | {
                "open_set_accuracy": measure.open_set_accuracy(
                    pair["normal"], truth == predicted, thresholds[name]["in_force"]
                )
            }
            for name, pair in tested.items()
        },
        "floor": measure.floors(**{kind: len(x) for kind, x in tested["mahalanobis"].items()}),
    }
    save_json(metrics, measure.rounded(report))


def counts(manifest: Path) -> dict[str, int]:
    """Return the number of images of each part, and of those that were dropped."""
    parts = load_csv(manifest, "part")["part"].value_counts().sort_index()
    return {str(part).replace("/", "_"): int(n) for part, n in parts.items()}


def named(truth: np.ndarray, predicted: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Return one row per image: its class and the predicted one, by name."""
    return pd.DataFrame({"actual": np.take(names, truth), "predicted": np.take(names, predicted)})


if __name__ == "__main__":
    run(main)
