"""Control the share of false ones among the images that are reported from a batch.

Benjamini and Hochberg, Controlling the false discovery rate, 1995, on conformal p-values: Bates,
Candes, Lei, Romano and Sesia, Testing for outliers with conformal p-values, 2023, who show that
these depend on each other only in the direction that the procedure allows.
"""

import math

import numpy as np

from belong.calibration.sample_size import ROUNDING, least_alpha
from belong.runtime.errors import InputError


def reported_rank(ranks: np.ndarray, *, n: int, fdr: float) -> int:
    """Return the largest rank that is reported; 0: no image is.

    `ranks` (m,) of the whole batch are p-values times n + 1: whole numbers in 1..n + 1, of n
    calibration images. Of the images whose rank is at most the result, the share `fdr` is false at
    most, on average over batches and calibration sets.
    """
    ordered, m = np.sort(ranks), len(ranks)
    is_small = ordered * m <= fdr * (n + 1) * np.arange(1, m + 1) + ROUNDING
    return int(ordered[np.flatnonzero(is_small)[-1]]) if is_small.any() else 0


def least_reported(n: int, m: int, *, fdr: float) -> int:
    """Return how many of m images are reported together, at least, or none.

    With n calibration images no p-value is below 1 / (n + 1).
    """
    return max(1, math.ceil(m / (fdr * (n + 1)) - ROUNDING))


def check_fdr(n: int, fdr: float) -> None:
    """Refuse a share at which n calibration images never allow to report anything.

    Raises:
        InputError: says so.
    """
    if fdr * (n + 1) < 1 - ROUNDING:
        raise InputError(
            f"fdr {fdr:g} needs at least {math.ceil(1 / fdr - ROUNDING) - 1} calibration images, "
            f"got {n}; the smallest possible fdr is {least_alpha(n):g}"
        )
