"""The scoreboard on one page.

Names of sets and detectors are a user's own: the template escapes every value, and the page's own
policy allows its script and no request.
"""

from typing import TYPE_CHECKING

from belong.commands.evaluate.scoreboard import interval, number
from belong.reporting.gallery.render import policy
from belong.reporting.templates import environment, joined

if TYPE_CHECKING:
    from belong.commands.evaluate.evaluate import Evaluation

STYLES = ("reporting/report/family.css", "reporting/report/page.css")
SCRIPTS = ("reporting/report/sort.js",)
# Column of the scoreboard -> its heading, which end is the better one ("" ranks none), what it is.
COLUMNS = {
    "auroc": ("AUROC", "max", "the chance that an anomaly scores higher than a normal row"),
    "fpr95": ("FPR95", "min", "anomalies accepted where 95 % of normal rows are"),
    "aupr_normal": ("AUPR normal", "max", "average precision, normal is the positive"),
    "aupr_anomaly": ("AUPR anomaly", "max", "average precision, anomaly is the positive"),
    "oscr": ("OSCR", "max", "area under correct classification over anomalies accepted"),
    "false_accept": ("false accepts", "min", "share of the anomalies accepted"),
    "false_reject": ("false rejects", "", "share of the normal rows rejected"),
    "aurc": ("AURC", "min", "area under the risk of what is accepted, over the coverage"),
    "augrc": ("AUGRC", "min", "area under the share that is accepted and wrong"),
}


def report_page(evaluation: "Evaluation", *, title: str) -> str:
    """Return the page: HTML that needs no other file."""
    board, summary = evaluation.scoreboard, evaluation.summary
    shown = {key: one for key, one in COLUMNS.items() if board[key].notna().any()}
    sets = []
    for kind, own in board.groupby("anomalies", sort=False):
        best = {key: getattr(own[key], end)() for key, (_, end, _) in shown.items() if end}
        rows = [
            {
                "name": row["detector"],
                "interval": interval(row),
                "cells": [
                    (number(row[key]), float(row[key]), row[key] == best.get(key)) for key in shown
                ],
            }
            for row in own.sort_values("auroc", ascending=False, kind="stable").to_dict("records")
        ]
        sets.append((str(kind), summary["rows"][str(kind)], rows))
    facts = {
        "normal test rows": f"{summary['rows']['normal_test']:,}",
        "rows that calibrate": f"{summary['calibration_rows']:,}",
        "promised false rejects": f"{summary['alpha']:.2%}",
        "detectors": str(len(summary["detectors"])),
    }
    for key, value in (summary["classifier"] or {}).items():
        facts[key.replace("_", " ").replace("ece", "ECE")] = f"{value:.4f}"
    templates = environment()
    style, script = joined(templates, STYLES), joined(templates, SCRIPTS)
    return templates.get_template("commands/evaluate/page.html").render(
        title=title,
        policy=policy(style=style, script=script),
        style=style,
        script=script,
        facts=facts,
        columns=shown,
        sets=sets,
        remarks=[remark[:1].upper() + remark[1:] for remark in evaluation.remarks],
    )
