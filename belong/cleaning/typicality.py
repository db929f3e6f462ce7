"""How typical an image is of each class, as a p-value, where some labels are wrong.

The p-value of a distance is the share of the images of the class that lie at least as far away. But
images that do not belong are among these, and are the farthest: by such shares alone each folder
would have the same outliers. So the share is counted only up to the 90th percentile, and beyond it
a law is laid through the bulk, from the median to there, which a few wrong images hardly move: the
logarithm of the distance is taken to have an exponential tail, its mean excess by the distance of
the two percentiles. (Fitting the null to the bulk is Efron's idea: Large-Scale Simultaneous
Hypothesis Testing, JASA 2004.) Where more than a tenth of a class is wrong, it finds less.
"""

import math

import numpy as np

BULK, TAIL = 0.5, 0.9
LEAST = 1e-300  # a p-value, that its logarithm be a number


def p_values(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how typical each image is of each class.

    Args:
        distances: (n, c) of each image to each class, all positive, of fits that have not seen it.
        labels: (n,) int64, 0..c-1, some of them wrong; of each class at least one image.

    Returns:
        (n, c) float64 above 0, at most 1.
    """
    logs = np.log(np.maximum(distances, np.finfo(np.float32).tiny))
    columns = [_of_one(logs[labels == c, c], logs[:, c]) for c in range(distances.shape[1])]
    return np.stack(columns, axis=1)


def _of_one(own: np.ndarray, all_: np.ndarray) -> np.ndarray:
    """Return p of each of `all_` (n,) under the law of a class's `own` (m,)."""
    bulk, start = np.quantile(own, (BULK, TAIL))
    # Of an exponential law the two lie log((1 - BULK) / (1 - TAIL)) times its mean apart.
    mean_excess = max(start - bulk, 1e-6) / math.log((1 - BULK) / (1 - TAIL))
    at_least = len(own) - np.searchsorted(np.sort(own), all_, side="left")
    counted = np.minimum(1, (1 + at_least) / (1 + len(own)))
    beyond = (1 - TAIL) * np.exp(-np.maximum(all_ - start, 0) / mean_excess)
    return np.maximum(np.where(all_ > start, np.minimum(counted, beyond), counted), LEAST)
