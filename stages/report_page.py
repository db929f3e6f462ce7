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
from typing import Any

import numpy as np

from belong.artefacts import load_about, load_arrays, load_csv, save_text
from belong.errors import InputError
from belong.ink import is_ink
from belong.page import curves, machine
from belong.page.facts import facts, flat, title
from belong.page.matrix import matrix
from belong.page.render import Contents, StageTime, render
from belong.page.scoreboard import scoreboard
from belong.page.showcase import Part, least_anomalous, showcase
from belong.page.thumbnails import thumbnails
from stages.params.every import Params
from stages.params.section import read
from stages.program import run

NORMAL, ANOMALY, HELD_OUT = "normal/test", "anomaly/test", "normal/calibration"

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
    values = Params.parse(given, params)
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
        versions=machine.versions(),
        machine=machine.machine(),
    )
    save_text(page, render(contents))


def part_of(name: str, arrays: Arrays, class_names: Any, about: dict[str, Any]) -> Part:
    """Return the images of a part as the detectors saw them."""
    return Part(
        name,
        class_names.astype(str).to_numpy(),
        np.take(np.array(about["class_names"], dtype=object), arrays[f"{name}/predicted"]),
        {detector: arrays[f"{name}/{detector}"] for detector in about["thresholds"]},
    )


def charts(
    plots: Path, parts: dict[str, Part], thresholds: dict[str, dict[str, float]], *, bins: int
) -> dict[str, Any]:
    """Return the curves of each detector; without anomalies there are no ROC and no precision."""
    calibration = load_csv(plots / "calibration_curve.csv")
    drawn: dict[str, Any] = {}
    for name in thresholds:
        kinds = {part.split("/")[0]: seen.scores[name] for part, seen in parts.items()}
        drawn[name] = {
            "roc": None,
            "pr": {},
            "histogram": curves.histogram(kinds, thresholds[name], bins=bins),
            "calibration": curves.calibration(calibration, name),
        }
        if ANOMALY in parts:
            roc = load_csv(plots / "roc" / f"{name}.csv")
            drawn[name]["roc"] = curves.points(roc, "false_positive_rate", "true_positive_rate")
            pr = load_csv(plots / "pr" / f"{name}.csv", "kind", "recall", "precision")
            drawn[name]["pr"] = curves.precision_recall(pr)
    return drawn


def pictured(images: Path, wanted: set[str]) -> Arrays:
    """Return the images (ch, h, w) of the cards, each once, by PART/ROW."""
    names = sorted({image.rpartition("/")[0] for image in wanted})
    arrays = load_arrays(images, *(f"{part}/images" for part in names))
    places = {image: image.rpartition("/") for image in sorted(wanted)}
    return {image: arrays[f"{part}/images"][int(row)] for image, (part, _, row) in places.items()}


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
            f"{path}: wanted JSON with the numbers seconds and peak_mib; remove the file, the "
            "next run of its stage writes it anew"
        ) from None


if __name__ == "__main__":
    run(main)
