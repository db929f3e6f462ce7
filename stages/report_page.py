"""Write the report as one page that opens without a network: `reports/report.html`.

Reads   params      params.yaml: all of it is shown
        pipeline    dvc.yaml: the stages, and what they do
        manifest    csv: the classes of the images, and the files that they come from
        images      safetensors: the test images
        scores      safetensors: scores, labels and predictions; about: thresholds
        metrics     json: the scoreboard
        plots       folder of csv: roc/DETECTOR, pr/DETECTOR, anomaly_sets, calibration_curve
        times       folder of json: how long the last run of each stage took; it may be missing
Writes  page        html
"""

import json
from pathlib import Path

import numpy as np

from belong.parameters import Parameters
from belong.reporting.palette import is_ink
from belong.reporting.report.auroc_matrix import matrix
from belong.reporting.report.contents import (
    ANOMALY,
    HELD_OUT,
    NORMAL,
    charts,
    part_of,
    pictured,
    times_of,
)
from belong.reporting.report.examples import least_anomalous, showcase
from belong.reporting.report.render import Contents, render
from belong.reporting.report.run_summary import facts, flat, title
from belong.reporting.report.scoreboard import scoreboard
from belong.reporting.report.thumbnails import thumbnails
from belong.runtime import environment
from belong.runtime.storage import load_about, load_arrays, load_csv, save_text
from belong.runtime.typed_yaml import read
from stages.runner import run

Arrays = dict[str, np.ndarray]


def main(
    params: Path,
    pipeline: Path,
    manifest: Path,
    images: Path,
    scores: Path,
    metrics: Path,
    plots: Path,
    times: Path,
    page: Path,
) -> None:
    """Gather what the page shows, and write it."""
    given = read(params)
    values = Parameters.parse(given, params)
    numbers = json.loads(metrics.read_text(encoding="utf-8"))
    about, arrays = load_about(scores, "class_names", "thresholds"), load_arrays(scores)
    thresholds, count = about["thresholds"], values.evaluate.top_images
    rows = load_csv(manifest, "part", "class_name", "source")
    ink = {name for name, some in rows.groupby("part") if is_ink(some["source"])}
    parts = {
        name: part_of(name, arrays, rows.loc[rows["part"] == name, "class_name"], about)
        for name in (NORMAL, ANOMALY)
        if len(arrays.get(f"{name}/predicted", ()))
    }
    held_out = {name: arrays[f"{HELD_OUT}/{name}"] for name in thresholds}
    showcases = {
        name: showcase(
            name,
            parts[NORMAL],
            parts.get(ANOMALY),
            held_out[name],
            threshold=thresholds[name]["in_force"],
            count=count,
        )
        for name in thresholds
    }
    rebuilt = "reconstruction"
    best_rebuilt = least_anomalous(parts[NORMAL], rebuilt, held_out[rebuilt], count=count)
    cards = [*best_rebuilt, *(card for one in showcases.values() for card in one.cards())]
    pictures = pictured(images, {card.image for card in cards})
    contents = Contents(
        title=title(given["normal"], given["anomaly"]),
        facts=facts(given, numbers["calibration"], numbers["classification"]),
        parts=numbers["data"],
        board=scoreboard(numbers["detectors"], numbers["floor"]),
        charts=charts(plots, parts, thresholds, bins=values.evaluate.histogram_bins),
        alpha=values.calibration.alpha,
        matrix=matrix(load_csv(plots / "anomaly_sets.csv")),
        showcases=showcases,
        best_rebuilt=best_rebuilt,
        pictures=thumbnails(
            pictures, {image for image in pictures if image.rpartition("/")[0] in ink}
        ),
        times=times_of(pipeline, times),
        parameters=flat(given),
        versions=environment.versions(),
        machine=environment.machine(),
    )
    save_text(page, render(contents))


if __name__ == "__main__":
    run(main)
