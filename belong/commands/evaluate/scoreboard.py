"""Compute the scoreboard: the metrics of each detector on each set of anomalies."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from belong.calibration import conformal
from belong.evaluation import metrics, open_set_metrics
from belong.runtime.text import printable, table

# Column -> its heading in the printed table.
SHOWN = {
    "auroc": "AUROC",
    "fpr95": "FPR95",
    "aupr_anomaly": "AUPR",
    "oscr": "OSCR",
    "false_reject": "false rejects",
}


def scoreboard(
    normal_scores: Mapping[str, np.ndarray],
    sets: Mapping[str, Mapping[str, np.ndarray]],
    right: np.ndarray | None,
    calibrated: Mapping[str, np.ndarray],
    test_rows: np.ndarray,
    *,
    alpha: float,
) -> pd.DataFrame:
    """Return the scoreboard, the detector with the best mean AUROC first.

    Args:
        normal_scores: detector -> scores (n,) of the normal test rows.
        sets: set of anomalies -> detector -> scores (m,).
        right: (n,) bool, whether a row is classified correctly; None if unknown.
        calibrated: detector -> scores (k,) of the held-out rows.
        test_rows: indices of the normal test rows that do not calibrate; false rejects are counted
            on these rows.
        alpha: promised false-rejection rate.
    """
    rows = []
    for name, normal in normal_scores.items():
        limit = conformal.threshold(calibrated[name], alpha=alpha)
        normal = np.asarray(normal)
        of_normal: dict[str, float] = {
            "false_reject": metrics.rejected(normal[test_rows], limit),
            "threshold": limit,
            "aurc": np.nan,
            "augrc": np.nan,
        }
        if right is not None:
            risks = open_set_metrics.aurc_and_augrc(normal, right)
            of_normal |= dict(zip(("aurc", "augrc"), risks, strict=True))
        for kind, one in sets.items():
            anomaly = np.asarray(one[name])
            rows.append(
                {"detector": name, "anomalies": kind, "n_anomalies": len(anomaly)}
                | _ranking(normal, anomaly, right)
                | {"false_accept": 1 - metrics.rejected(anomaly, limit)}
                | of_normal
            )
    board = pd.DataFrame(rows)
    order = board.groupby("detector")["auroc"].transform("mean")
    place = board["anomalies"].map({kind: place for place, kind in enumerate(sets)})
    keys = pd.DataFrame({"mean": -order, "name": board["detector"], "place": place})
    return board.loc[keys.sort_values(["mean", "name", "place"]).index].reset_index(drop=True)


def _ranking(
    normal: np.ndarray, anomaly: np.ndarray, right: np.ndarray | None
) -> dict[str, float | None]:
    auroc, low, high = open_set_metrics.auroc_and_interval(normal, anomaly)
    is_anomaly = np.repeat([False, True], [len(normal), len(anomaly)])
    scores = np.concatenate((normal, anomaly))
    return {
        "auroc": auroc,
        "auroc_low": np.nan if low is None else low,
        "auroc_high": np.nan if high is None else high,
        "fpr95": metrics.fpr95(normal, anomaly),
        "aupr_normal": float(average_precision_score(~is_anomaly, -scores)),
        "aupr_anomaly": float(average_precision_score(is_anomaly, scores)),
        "oscr": np.nan if right is None else open_set_metrics.oscr(normal, right, anomaly),
    }


def scoreboard_text(board: pd.DataFrame) -> str:
    """Return the scoreboard as a Markdown table."""
    headings = ["detector", "anomalies", *SHOWN.values()]
    headings.insert(3, "95% interval")
    rows = []
    for row in board.to_dict("records"):
        cells = [
            *map(printable, (row["detector"], row["anomalies"])),
            *(number(row[key]) for key in SHOWN),
        ]
        cells.insert(3, interval(row))
        rows.append(cells)
    return table(headings, rows, left=2)


def number(value: float) -> str:
    """Format a value with four decimals; "-" for a missing value."""
    return "-" if np.isnan(value) else f"{value:.4f}"


def interval(row: Mapping[Any, Any]) -> str:
    """Format the confidence interval of the AUROC in a row of the scoreboard."""
    low, high = row["auroc_low"], row["auroc_high"]
    return "-" if np.isnan(low) else f"{low:.4f}-{high:.4f}"
