"""Write the report as one page that opens without a network: `reports/report.html`.

Reads   params      params.yaml: all of it is shown
        pipeline    dvc.yaml: the stages, and what they do
        manifest    csv: the classes of the images, and the files that they come from
        images      safetensors: the test images
        scores      safetensors: scores, labels and predictions; about: thresholds
        metrics     json: the scoreboard
        plots       folder of csv: roc/DETECTOR, pr/DETECTOR, anomaly_sets, calibration_curve
        bundle      folder: the model, whose assessment is shown
        times       folder of json: how long the last run of each stage took; it may be missing
Writes  page        html
"""

import json
from pathlib import Path

from belong.parameters import Parameters
from belong.prediction.manifest import NAME, Manifest
from belong.reporting.report.contents import StageTime, report_page
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
    """Gather what the page shows, and write it."""
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
    """Return the stages of dvc.yaml with the time of their last run, after the fetched sets."""
    does = {name: stage.get("desc", "") for name, stage in read(pipeline)["stages"].items()}
    taken = {path.stem: taken_by(path) for path in sorted(times.glob("*.json"))}
    names = [*(name for name in taken if name not in does), *does]
    return [StageTime(name, does.get(name, ""), *taken.get(name, (None, None))) for name in names]


def taken_by(path: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory, in MiB, that a stage noted."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return float(noted["seconds"]), float(noted["peak_mib"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path}: expected JSON with the numbers seconds and peak_mib; remove the file, the "
            "next run of its stage writes it anew"
        ) from None


if __name__ == "__main__":
    run(main)
