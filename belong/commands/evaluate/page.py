"""Render the scoreboard as one page.

Names of sets and detectors are not trusted: the template escapes every value, and the content
security policy of the page allows its own script and no request.
"""

from typing import TYPE_CHECKING

from belong.commands.evaluate.scoreboard import interval, number
from belong.reporting.templates import render_page
from belong.runtime.text import percent_of

if TYPE_CHECKING:
    from belong.commands.evaluate.evaluate import Evaluation

STYLES = ("reporting/report/family.css", "reporting/report/page.css")
SCRIPTS = ("reporting/report/sort.js",)
# Column of the scoreboard -> heading, the better end ("": not ranked), explanation.
COLUMNS = {
    "auroc": ("AUROC", "max", "probability that an anomaly scores higher than a normal row"),
    "fpr95": ("FPR95", "min", "share of anomalies accepted when 95% of normal rows are accepted"),
    "aupr_normal": ("AUPR normal", "max", "average precision with normal rows as positives"),
    "aupr_anomaly": ("AUPR anomaly", "max", "average precision with anomalies as positives"),
    "oscr": ("OSCR", "max", "area under correct classification against accepted anomalies"),
    "false_accept": ("false accepts", "min", "share of anomalies accepted at the threshold"),
    "false_reject": ("false rejects", "", "share of normal rows rejected at the threshold"),
    "aurc": ("AURC", "min", "area under the risk-coverage curve"),
    "augrc": ("AUGRC", "min", "area under the generalized risk-coverage curve"),
}


def report_page(evaluation: "Evaluation", *, title: str) -> str:
    """Return the page as self-contained HTML."""
    board, summary = evaluation.scoreboard, evaluation.summary
    columns = {key: one for key, one in COLUMNS.items() if board[key].notna().any()}
    sets = []
    for kind, part in board.groupby("anomalies", sort=False):
        best = {key: getattr(part[key], end)() for key, (_, end, _) in columns.items() if end}
        rows = [
            {
                "name": row["detector"],
                "interval": interval(row),
                "cells": [
                    (number(row[key]), float(row[key]), row[key] == best.get(key))
                    for key in columns
                ],
            }
            for row in part.sort_values("auroc", ascending=False, kind="stable").to_dict("records")
        ]
        sets.append((str(kind), summary["rows"][str(kind)], rows))
    facts = {
        "normal test rows": f"{summary['rows']['normal_test']:,}",
        "calibration rows": f"{summary['calibration_rows']:,}",
        "promised false-rejection rate": percent_of(summary["alpha"]),
        "detectors": str(len(summary["detectors"])),
    }
    for key, value in (summary["classifier"] or {}).items():
        facts[key.replace("_", " ").replace("ece", "ECE")] = f"{value:.4f}"
    return render_page(
        "commands/evaluate/page.html",
        styles=STYLES,
        scripts=SCRIPTS,
        title=title,
        facts=facts,
        columns=columns,
        sets=sets,
        remarks=[remark[:1].upper() + remark[1:] for remark in evaluation.remarks],
    )
