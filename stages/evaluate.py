"""Measure the classifier and every detector on the test images.

Reads   manifest     csv: how many images each part has
        history      csv: the training, epoch by epoch
        features     safetensors: features of the test images
        gaussians    safetensors: `means`, the centroids of the classes
        scores       safetensors: scores, labels and predictions; about: thresholds, and the
                     detectors that are missing
Writes  metrics      json: the ten main metrics, which `dvc exp show` lists
        metrics_all  json: all metrics of `belong.evaluation.evaluate`
        plots        folder of csv: the tables of `belong.evaluation.evaluate`, and `training`
"""

from pathlib import Path

from belong.evaluation.evaluate import compared, evaluate
from belong.parameters import Parameters
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


def main(
    params: Path,
    manifest: Path,
    history: Path,
    features: Path,
    gaussians: Path,
    scores: Path,
    metrics: Path,
    metrics_all: Path,
    plots: Path,
) -> None:
    """Measure, and save the metrics and tables."""
    values = Parameters.load(params)
    numbers, tables = evaluate(
        load_arrays(scores),
        load_about(
            scores, "class_names", "alpha", "thresholds", "members", "missing", "temperature"
        ),
        manifest=load_csv(manifest, "part", "is_anomaly"),
        vectors=load_kinds(features, ("normal", "anomaly"), "test/features"),
        centroids=load_arrays(gaussians, "means")["means"],
        options=values.evaluate,
        seed=values.seed,
    )
    with whole_folder(plots) as folder:
        for name, table in (tables | {"training": load_csv(history)}).items():
            save_csv(folder / f"{name}.csv", table)
    save_json(metrics_all, numbers)
    save_json(metrics, compared(numbers))


if __name__ == "__main__":
    run(main)
