"""A stream in blocks, to be shown over time."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from belong.calibration import conformal

BLOCKS = 40


def blocks(
    names: np.ndarray,
    rejected: np.ndarray,
    evidence: np.ndarray,
    of_class: Mapping[str, np.ndarray],
    *,
    alpha: float,
    n_calibration: int,
) -> pd.DataFrame:
    """Divide a stream of n images into at most 40 blocks of the same length.

    Args:
        names: (n,) str, the predicted classes.
        rejected: (n,) bool.
        evidence: (n,) log10 of the capital.
        of_class: class -> the same of its own images.
        alpha: promised share of rejected images.
        n_calibration: held-out images that set the threshold.

    Returns:
        A row for each block, and for each class in it. Columns: `class` (empty: all), `first` and
        `last` (numbers of images in the stream, from 1 on), `images`, `rejected`, `rate`,
        `expected_low`, `expected_high` (hold the rate in 19 of 20 blocks; of a class nothing is
        promised) and `evidence`, after the block.
    """
    edges = np.linspace(0, len(names), min(BLOCKS, len(names)) + 1).astype(int)
    rows = []
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        low, high = conformal.promised_range(n_calibration, last - first, alpha=alpha)
        whole = {"class": "", "images": last - first, "rejected": rejected[first:last].sum()}
        ends = {"first": first + 1, "last": last}
        band = {"expected_low": low, "expected_high": high}
        rows.append(whole | ends | band | {"evidence": evidence[last - 1]})
        for name, capital in of_class.items():
            is_own = names[:last] == name
            own = {
                "class": name,
                "images": is_own[first:].sum(),
                "rejected": (is_own & rejected[:last])[first:].sum(),
            }
            if own["images"]:
                rows.append(own | ends | {"evidence": capital[is_own.sum() - 1]})
    table = pd.DataFrame(rows)
    table["rate"] = table["rejected"] / table["images"]
    columns = ["class", "first", "last", "images", "rejected", "rate", *band, "evidence"]
    return table[columns].sort_values(["class", "first"], kind="stable", ignore_index=True)
