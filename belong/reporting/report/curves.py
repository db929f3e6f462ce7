"""Convert the curves of a detector to lists of numbers for the page's script."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from belong.reporting.histogram_bins import score_edges, shares

DIGITS = 5  # decimals of a rate, as the logarithmic corner starts at 0.0001


def points(table: pd.DataFrame, x: str, y: str) -> list[list[float]]:
    """Return two columns of a curve as [xs, ys], without rows with a missing value."""
    whole = table[[x, y]].dropna()
    return [whole[column].round(DIGITS).tolist() for column in (x, y)]


def precision_recall(table: pd.DataFrame) -> dict[str, list[list[float]]]:
    """Return the curve with each `kind` of image as the positive, sorted by recall."""
    sorted_ = table.sort_values("recall", kind="stable")
    return {
        str(kind): points(rows, "recall", "precision") for kind, rows in sorted_.groupby("kind")
    }


def histogram(
    scores: Mapping[str, np.ndarray], thresholds: Mapping[str, float], *, bins: int
) -> dict[str, Any]:
    """Return the shares of the scores (n,) of each kind of image, and the thresholds to draw."""
    edges, logarithmic = score_edges(list(scores.values()), bins=bins)
    return {
        "edges": [float(f"{edge:.6g}") for edge in edges],
        "logarithmic": logarithmic,
        "shares": {kind: shares(s, edges).round(DIGITS).tolist() for kind, s in scores.items()},
        "thresholds": {kind: float(f"{score:.6g}") for kind, score in thresholds.items()},
    }


def calibration(table: pd.DataFrame, detector: str) -> dict[str, list[float]]:
    """Return the columns of the calibration curve of one detector, sorted by alpha.

    Rows with a missing value are left out.
    """
    rows = table[table["detector"] == detector].sort_values("alpha", kind="stable")
    whole = rows[["alpha", "false_reject", "expected_low", "expected_high"]].dropna()
    return {str(column): values.tolist() for column, values in whole.items()}
