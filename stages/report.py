"""Draw the figures.

Reads   metrics    json: AUROC of each detector
        plots      folder of csv: roc/DETECTOR, anomaly_sets, training
        features   safetensors: features of the test images
        gaussians  safetensors: `means`, the centroids of the classes
        scores     safetensors: scores; about: thresholds
Writes  figures    folder of png: roc (paper A, figure 5), features (figure 6), scores,
                   anomaly_sets, training
"""

import json
from pathlib import Path

from belong import figures as draw
from belong.artefacts import load_about, load_arrays, load_csv, whole_folder
from stages.params.report import Params
from stages.program import run

KINDS = ("normal", "anomaly")


def main(
    params: Path,
    metrics: Path,
    plots: Path,
    features: Path,
    gaussians: Path,
    scores: Path,
    figures: Path,
) -> None:
    """Draw each figure from what was measured."""
    lambda_ = Params.load(params).lambda_
    measured = json.loads(metrics.read_text(encoding="utf-8"))["detectors"]
    about, arrays = load_about(scores, "class_names", "thresholds"), load_arrays(scores)
    vectors = load_arrays(features, *(f"{kind}/test/features" for kind in KINDS))
    drawn = {
        "roc": draw.roc(
            {name: load_csv(plots / "roc" / f"{name}.csv") for name in measured},
            {name: numbers["auroc"] for name, numbers in measured.items()},
        ),
        "features": draw.features(
            vectors["normal/test/features"],
            vectors["anomaly/test/features"],
            load_arrays(gaussians, "means")["means"],
            about["class_names"],
            f"Features of the last hidden layer, lambda = {lambda_:g}",
        ),
        "scores": draw.score_histograms(
            {name: {kind: arrays[f"{kind}/test/{name}"] for kind in KINDS} for name in measured},
            about["thresholds"],
        ),
        "anomaly_sets": draw.anomaly_sets(load_csv(plots / "anomaly_sets.csv")),
        "training": draw.training(load_csv(plots / "training.csv")),
    }
    with whole_folder(figures) as folder:
        for name, figure in drawn.items():
            figure.savefig(folder / f"{name}.png")


if __name__ == "__main__":
    run(main)
