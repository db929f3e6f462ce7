"""Control the false discovery rate: the share of normal images among the reported images.

The procedure of Benjamini and Hochberg (Controlling the False Discovery Rate, JRSS B 1995) is
applied to conformal p-values. Bates, Candes, Lei, Romano and Sesia (Testing for Outliers with
Conformal P-values, Annals of Statistics 2023, https://arxiv.org/abs/2104.08279) show that these
p-values are positively dependent, as the procedure requires.
"""

import math

import numpy as np

from belong.calibration.sample_size import ROUNDING, least_alpha
from belong.runtime.errors import InputError


def reported_rank(ranks: np.ndarray, *, n: int, fdr: float) -> int:
    """Return the largest rank that is reported; 0 if no image is reported.

    `ranks` (m,) of the whole batch are p-values times n + 1, whole numbers from 1 to n + 1, given n
    calibration images. Among the images with a rank up to the result, at most the share `fdr`
    belongs, on average over batches and calibration sets.
    """
    ordered, m = np.sort(ranks), len(ranks)
    is_small = ordered * m <= fdr * (n + 1) * np.arange(1, m + 1) + ROUNDING
    return int(ordered[np.flatnonzero(is_small)[-1]]) if is_small.any() else 0


def least_reported(n: int, m: int, *, fdr: float) -> int:
    """Return the minimum number of reported images among m, if any image is reported.

    With n calibration images, no p-value is below 1 / (n + 1).
    """
    return max(1, math.ceil(m / (fdr * (n + 1)) - ROUNDING))


def check_fdr(n: int, fdr: float) -> None:
    """Refuse a false discovery rate at which n calibration images can never report an image.

    Raises:
        InputError: n is too small; the message has the number needed and the minimum rate.
    """
    if fdr * (n + 1) < 1 - ROUNDING:
        raise InputError(
            f"fdr {fdr:g} needs at least {math.ceil(1 / fdr - ROUNDING) - 1} calibration images, "
            f"got {n}; the smallest possible fdr is {least_alpha(n):g}"
        )
