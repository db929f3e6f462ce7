"""Collect the contents of the report's page, and fill its template.

Names of classes, folders and detectors are not trusted: the template escapes every value, and the
data of the script are JSON without a `<`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from belong.evaluation.assessment import Assessment
from belong.parameters import EvaluateSection
from belong.reporting.palette import is_ink, lines
from belong.reporting.report import curves
from belong.reporting.report.auroc_matrix import matrix
from belong.reporting.report.examples import Part, least_anomalous, showcase
from belong.reporting.report.run_summary import facts, flat, title
from belong.reporting.report.scoreboard import COLUMNS, reasons, scoreboard
from belong.reporting.report.thumbnails import thumbnails
from belong.reporting.templates import render_page
from belong.runtime.environment import machine, versions

NORMAL, ANOMALY, HELD_OUT = "normal/test", "anomaly/test", "normal/calibration"
REBUILT = "reconstruction"

ROLES = {
    "normal_train": "train the network and the autoencoder, fit the detectors",
    "normal_calibration": "set the thresholds; not used in training",
    "normal_test": "measure the accuracy and the false rejects",
    "anomaly_head": "train the supervised head only",
    "anomaly_test": "measure the false accepts",
    "left_out_test": "further test anomalies: unused classes of the normal data set",
    "unseen_test": "further test anomalies: another data set, not used in training",
    "dropped": "excluded, as the same image is in another part (see manifest.csv)",
}
# Roles of a model that is calibrated cross-conformally, and of one without a test part of its own.
SETS_THRESHOLDS = "; set the thresholds, each scored by detectors fitted without it"
TESTS_ITSELF = (
    "the training images again: measure the accuracy, each by a network trained without it"
)
STYLES = ("reporting/report/family.css", "reporting/report/page.css")
SCRIPTS = ("reporting/report/sort.js", "reporting/report/charts.js", "reporting/report/page.js")
DASHES = {"-": "", "--": "7 4", ":": "2 3"}  # matplotlib's line style -> SVG


@dataclass(frozen=True)
class StageTime:
    """The last run of a stage; None if there is no record."""

    name: str
    does: str
    seconds: float | None
    peak_mib: float | None


Arrays = Mapping[str, np.ndarray]


def report_page(
    scores: Arrays,
    about: Mapping[str, Any],
    *,
    manifest: pd.DataFrame,
    images: Arrays,
    numbers: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    options: EvaluateSection,
    parameters: Mapping[str, Any],
    assessment: Assessment,
    times: Sequence[StageTime] = (),
    tests_itself: bool = False,
) -> str:
    """Render the report as one self-contained HTML page.

    Args:
        scores: `PART/DETECTOR` (n,), `PART/predicted` (n,) int64.
        about: `class_names`; `alpha`; `thresholds`, detector -> kind -> score.
        manifest: columns `part`, `class_name`, `source`, all text, a row for each image.
        images: "normal", and "anomaly" if there are any -> test images (n, ch, h, w) uint8.
        numbers: metrics, the first result of `belong.evaluation.evaluate`.
        tables: the second result of `belong.evaluation.evaluate`.
        options: options such as the number of images and of histogram bins.
        parameters: the content of params.yaml, shown in full.
        assessment: the assessment of the model, in words.
        times: the times of the stages, for a run of the pipeline.
        tests_itself: the test images also set the threshold, so false rejects are not measured.
    """
    thresholds = about["thresholds"]
    parts = {
        name: _part(name, scores, manifest.loc[manifest["part"] == name, "class_name"], about)
        for name in (NORMAL, ANOMALY)
        if len(scores.get(f"{name}/predicted", ()))
    }
    held_out = {name: scores[f"{HELD_OUT}/{name}"] for name in thresholds}
    showcases = {
        name: showcase(
            name,
            parts[NORMAL],
            parts.get(ANOMALY),
            held_out[name],
            threshold=thresholds[name]["in_force"],
            count=options.top_images,
        )
        for name in thresholds
    }
    best_rebuilt = least_anomalous(
        parts[NORMAL], REBUILT, held_out[REBUILT], count=options.top_images
    )
    cards = [*best_rebuilt, *(card for one in showcases.values() for card in one.cards())]
    board = scoreboard(numbers["detectors"], numbers["floor"], tests_itself=tests_itself)
    # The measured detectors; the scoreboard also lists missing ones with the reasons.
    ranked = [row.name for row in board if row.name in thresholds]
    turns = {
        name: {"color": color, "dash": DASHES[style]}
        for name, (color, style) in lines(ranked).items()
    }
    charts = {
        name: _charts(name, parts, tables, thresholds[name], bins=options.histogram_bins)
        for name in thresholds
    }
    return render_page(
        "reporting/report/page.html",
        styles=STYLES,
        scripts=SCRIPTS,
        allows_inline_style=True,
        title=title(parameters["normal"], parameters["anomaly"]),
        assessment=assessment,
        facts=facts(parameters, numbers, tests_itself=tests_itself),
        parts=numbers["data"],
        roles=_roles(numbers, tests_itself=tests_itself),
        tests_itself=tests_itself,
        board=board,
        columns=COLUMNS,
        ranked=ranked,
        reasons=reasons(board),
        members=numbers.get("members", {}),
        has_anomalies=any(chart["pr"] for chart in charts.values()),
        alpha=about["alpha"],
        matrix=matrix(tables["anomaly_sets"]),
        showcases=showcases,
        best_rebuilt=best_rebuilt,
        pictures=_pictures({card.image for card in cards}, images, manifest),
        times=times,
        parameters=flat(parameters),
        versions=versions(),
        machine=machine(),
        charts=charts,
        lines=turns,
        data={"charts": charts, "lines": turns, "alpha": about["alpha"]},
    )


def _roles(numbers: Mapping[str, Any], *, tests_itself: bool) -> dict[str, str]:
    """Return part -> what its images are used for."""
    roles = dict(ROLES)
    if numbers["calibration"].get("method") == "cross":
        roles["normal_train"] += SETS_THRESHOLDS
    if tests_itself:
        roles["normal_test"] = TESTS_ITSELF
    return roles


def _part(name: str, scores: Arrays, classes: pd.Series, about: Mapping[str, Any]) -> Part:
    """Return the images of a part with their predictions and scores."""
    return Part(
        name,
        classes.to_numpy(),
        np.take(np.array(about["class_names"], dtype=object), scores[f"{name}/predicted"]),
        {detector: scores[f"{name}/{detector}"] for detector in about["thresholds"]},
    )


def _charts(
    name: str,
    parts: Mapping[str, Part],
    tables: Mapping[str, pd.DataFrame],
    thresholds: Mapping[str, float],
    *,
    bins: int,
) -> dict[str, Any]:
    """Return the curves of a detector; without anomalies, no ROC and precision-recall curves."""
    kinds = {part.split("/")[0]: images.scores[name] for part, images in parts.items()}
    charts: dict[str, Any] = {
        "roc": None,
        "pr": {},
        "histogram": curves.histogram(kinds, thresholds, bins=bins),
        "calibration": curves.calibration(tables["calibration_curve"], name),
    }
    if ANOMALY in parts:
        roc, precision_recall = tables[f"roc/{name}"], tables[f"pr/{name}"]
        charts["roc"] = curves.points(roc, "false_positive_rate", "true_positive_rate")
        charts["pr"] = curves.precision_recall(precision_recall)
    return charts


def _pictures(names: set[str], images: Arrays, manifest: pd.DataFrame) -> dict[str, str]:
    """Return the pictures of the cards as data URIs, each once, by PART/ROW."""
    ink = {part for part, rows in manifest.groupby("part") if is_ink(rows["source"])}
    places = {image: image.rpartition("/") for image in sorted(names)}
    pictures = {
        image: images[part.split("/")[0]][int(row)] for image, (part, _, row) in places.items()
    }
    return thumbnails(pictures, {image for image in pictures if places[image][0] in ink})
