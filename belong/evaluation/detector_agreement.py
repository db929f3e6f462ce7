"""Compare the images that detectors find most anomalous, and count their classes.

Paper B compares its detectors visually, on the 20 most anomalous images of each detector. This
module computes the corresponding numbers.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd


def most_anomalous(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the `count` highest scores (n,), highest first; ties by index."""
    return np.argsort(-scores, kind="stable")[:count]


def between_detectors(scores: Mapping[str, np.ndarray], *, top: int) -> pd.DataFrame:
    """Measure the agreement of each pair of detectors on the same images.

    The `top` most anomalous of n images are compared; `scores` is detector -> (n,). Columns:
    `first`, `second`, `overlap` (share of the first's top that is in the second's) and
    `rank_correlation` (Spearman's).
    """
    tops = {name: set(most_anomalous(values, top)) for name, values in scores.items()}
    correlation = pd.DataFrame(scores).corr(method="spearman")
    return pd.DataFrame(
        {
            "first": first,
            "second": second,
            "overlap": len(tops[first] & tops[second]) / len(tops[first]),
            "rank_correlation": correlation.loc[first, second],
        }
        for first, second in combinations(scores, 2)
    )


def picked_classes(
    scores: Mapping[str, np.ndarray], labels: np.ndarray, names: list[str], *, share: float
) -> pd.DataFrame:
    """Return the share of each class among the most anomalous images of each detector.

    `scores` is detector -> (n,), labels are (n,) 0..c-1, and `share` of the images, 0 to 1, count
    as most anomalous. Columns: `detector`, `class_name`, `share_of_top`, `share_of_all`.
    """
    top = max(1, round(share * len(labels)))
    all_of = np.bincount(labels, minlength=len(names)) / len(labels)
    parts = []
    for name, values in scores.items():
        picked = labels[most_anomalous(values, top)]
        share_of_top = np.bincount(picked, minlength=len(names)) / top
        columns = {"class_name": names, "share_of_top": share_of_top, "share_of_all": all_of}
        parts.append(pd.DataFrame({"detector": name} | columns))
    return pd.concat(parts, ignore_index=True)
