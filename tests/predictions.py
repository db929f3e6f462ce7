"""Streams of predictions."""

from pathlib import Path

import numpy as np
import pandas as pd


def predictions(rejected: np.ndarray, classes: list[str], *, n: int = 999) -> pd.DataFrame:
    """Return the table of `belong score` for images with uniform p-values, except the rejects.

    Args:
        rejected: (m,) bool; at alpha 0.05.
        classes: taken in turns.
        n: calibration images.
    """
    rng = np.random.default_rng(0)
    most = (n + 1) // 20
    ranks = np.where(rejected, rng.integers(1, most + 1, len(rejected)), 0)
    ranks = np.where(rejected, ranks, rng.integers(most + 1, n + 2, len(rejected)))
    return pd.DataFrame(
        {
            "path": [f"{place}.png" for place in range(len(rejected))],
            "class": [classes[place % len(classes)] for place in range(len(rejected))],
            "belongs": ~rejected,
            "p_value": ranks / (n + 1),
        }
    )


def write_predictions(path: Path, table: pd.DataFrame) -> Path:
    table.to_csv(path, index=False, float_format="%.6g")
    return path
