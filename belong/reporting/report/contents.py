"""Gather what the report's page shows."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from belong.reporting.report import curves
from belong.reporting.report.examples import Part
from belong.reporting.report.render import StageTime
from belong.runtime.errors import InputError
from belong.runtime.storage import load_arrays, load_csv
from belong.runtime.typed_yaml import read

NORMAL, ANOMALY, HELD_OUT = "normal/test", "anomaly/test", "normal/calibration"

Arrays = dict[str, np.ndarray]


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
