"""Draw the figures of the results.

Reads   metrics    json: AUROC of each detector
        plots      folder of csv: roc/DETECTOR, anomaly_sets, calibration_curve, training
        acceptance csv: share of fresh images that are accepted, by images per feature
        manifest   csv: the source file of each image
        images     safetensors: the normal test images
        features   safetensors: features of the test images
        gaussians  safetensors: `means`, the centroids of the classes
        scores     safetensors: scores; about: thresholds
Writes  figures    folder of png: roc (paper A, figure 5; requires anomalies), features (figure 6),
                   gallery (paper B, figure 1), picked_classes, scores, calibration, anomaly_sets,
                   training, acceptance (requires a class with enough images)
"""

import json
from pathlib import Path

from belong.parameters import Parameters
from belong.reporting.figures import every_figure
from belong.reporting.palette import is_ink
from belong.runtime.storage import (
    load_about,
    load_arrays,
    load_csv,
    load_kinds,
    load_tables,
    whole_folder,
)
from stages.runner import run


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
    """Draw the figures, and save them."""
    values = Parameters.load(params)
    rows = load_csv(manifest, "part", "source")
    plotted = every_figure(
        load_arrays(scores),
        load_about(scores, "class_names", "thresholds"),
        numbers=json.loads(metrics.read_text(encoding="utf-8"))["detectors"],
        tables=load_tables(plots) | {"acceptance": load_csv(acceptance)},
        images=load_arrays(images, "normal/test/images")["normal/test/images"],
        ink=is_ink(rows.loc[rows["part"] == "normal/test", "source"]),
        vectors=load_kinds(features, ("normal", "anomaly"), "test/features"),
        centroids=load_arrays(gaussians, "means")["means"],
        lambda_=values.lambda_,
        alpha=values.calibration.alpha,
        top_images=values.evaluate.top_images,
    )
    with whole_folder(figures) as folder:
        for name, figure in plotted.items():
            figure.savefig(folder / f"{name}.png")


if __name__ == "__main__":
    run(main)
