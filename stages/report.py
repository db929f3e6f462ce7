"""Draw the figures.

Reads   metrics    json: AUROC of each detector
        plots      folder of csv: roc/DETECTOR, anomaly_sets, calibration_curve, training
        acceptance csv: of fresh images, by images per feature
        manifest   csv: the files that the images come from
        images     safetensors: the normal test images
        features   safetensors: features of the test images
        gaussians  safetensors: `means`, the centroids of the classes
        scores     safetensors: scores; about: thresholds
Writes  figures    folder of png: roc (paper A, figure 5; where there are anomalies), features
                   (figure 6), gallery (paper B, figure 1), picked_classes, scores, calibration,
                   anomaly_sets, training, acceptance
                   (where a class has enough images)
"""

import json
from pathlib import Path

import numpy as np

from belong.evaluation.pca import plane
from belong.parameters import Parameters
from belong.reporting import figures as draw
from belong.reporting.figures import gallery_rows
from belong.reporting.palette import is_ink
from belong.runtime.storage import load_about, load_arrays, load_csv, load_kinds, whole_folder
from stages.runner import run

KINDS = ("normal", "anomaly")


def main(
    params: Path,
    metrics: Path,
    plots: Path,
    acceptance: Path,
    manifest: Path,
    images: Path,
    features: Path,
    gaussians: Path,
    scores: Path,
    figures: Path,
) -> None:
    """Draw each figure from what was measured."""
    values = Parameters.load(params)
    measured = json.loads(metrics.read_text(encoding="utf-8"))["detectors"]
    about, arrays = load_about(scores, "class_names", "thresholds"), load_arrays(scores)
    names, thresholds = about["class_names"], about["thresholds"]
    vectors = load_kinds(features, KINDS, "test/features")
    rows = load_csv(manifest, "part", "source")
    drawn = {
        "features": draw.features(
            plane(vectors, load_arrays(gaussians, "means")["means"], names),
            f"Features of the last hidden layer, lambda = {values.lambda_:g}",
        ),
        "scores": draw.score_histograms(
            {
                name: {kind: arrays[f"{kind}/test/{name}"] for kind in vectors}
                for name in thresholds
            },
            thresholds,
        ),
        "gallery": draw.gallery(
            load_arrays(images, "normal/test/images")["normal/test/images"],
            np.take(names, arrays["normal/test/labels"]),
            gallery_rows(
                {name: arrays[f"normal/test/{name}"] for name in thresholds},
                values.evaluate.top_images,
            ),
            ink=is_ink(rows.loc[rows["part"] == "normal/test", "source"]),
        ),
        "calibration": draw.calibration(load_csv(plots / "calibration_curve.csv")),
        "picked_classes": draw.picked_classes(load_csv(plots / "picked_classes.csv")),
        "anomaly_sets": draw.anomaly_sets(load_csv(plots / "anomaly_sets.csv")),
        "training": draw.training(load_csv(plots / "training.csv")),
    }
    accepted = load_csv(acceptance)
    if len(accepted):
        drawn["acceptance"] = draw.acceptance(accepted, 1 - values.calibration.alpha)
    if "anomaly" in vectors:
        drawn["roc"] = draw.roc(
            {name: load_csv(plots / "roc" / f"{name}.csv") for name in thresholds},
            {name: measured[name]["auroc"] for name in thresholds},
        )
    with whole_folder(figures) as folder:
        for name, figure in drawn.items():
            figure.savefig(folder / f"{name}.png")


if __name__ == "__main__":
    run(main)
