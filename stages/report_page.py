"""Write the report as one page that needs no network: `reports/report.html`.

Reads   params      params.yaml: all parameters are shown
        pipeline    dvc.yaml: the stages and their descriptions
        manifest    csv: class and source file of each image
        images      safetensors: the test images
        scores      safetensors: scores, labels and predictions; about: thresholds
        metrics     json: the scoreboard
        plots       folder of csv: roc/DETECTOR, pr/DETECTOR, anomaly_sets, calibration_curve
        bundle      folder: the model, whose assessment is shown
        times       folder of json: duration of the last run of each stage; may be missing
Writes  page        html
"""

import json
from pathlib import Path

from belong.parameters import Parameters
from belong.prediction.manifest import NAME, Manifest
from belong.reporting.report.report_page import StageTime, report_page
from belong.runtime.errors import InputError
from belong.runtime.storage import (
    load_about,
    load_arrays,
    load_csv,
    load_kinds,
    load_tables,
    save_text,
)
from belong.runtime.typed_yaml import read
from stages.runner import run


def main(
    params: Path,
    pipeline: Path,
    manifest: Path,
    images: Path,
    scores: Path,
    metrics: Path,
    plots: Path,
    bundle: Path,
    times: Path,
    page: Path,
) -> None:
    """Load the results, and write the page."""
    parameters = read(params)
    values = Parameters.parse(parameters, params)
    text = report_page(
        load_arrays(scores),
        load_about(scores, "class_names", "alpha", "thresholds"),
        manifest=load_csv(manifest, "part", "class_name", "source", as_text=True),
        images=load_kinds(images, ("normal", "anomaly"), "test/images"),
        numbers=json.loads(metrics.read_text(encoding="utf-8")),
        tables=load_tables(plots),
        options=values.evaluate,
        parameters=parameters,
        assessment=Manifest.read(bundle / NAME).assessment,
        times=times_of(pipeline, times),
    )
    save_text(page, text)


def times_of(pipeline: Path, times: Path) -> list[StageTime]:
    """Return the time of each stage: the downloads first, then the stages of dvc.yaml."""
    descriptions = {name: stage.get("desc", "") for name, stage in read(pipeline)["stages"].items()}
    costs = {path.stem: cost_of(path) for path in sorted(times.glob("*.json"))}
    names = [*(name for name in costs if name not in descriptions), *descriptions]
    return [
        StageTime(name, descriptions.get(name, ""), *costs.get(name, (None, None)))
        for name in names
    ]


def cost_of(path: Path) -> tuple[float, float]:
    """Return the recorded seconds and peak memory, in MiB, of a stage."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return float(record["seconds"]), float(record["peak_mib"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path}: expected JSON with the numbers seconds and peak_mib; remove the file: the "
            "next run of the stage writes it again"
        ) from None


if __name__ == "__main__":
    run(main)
