"""Compute the number of calibration images for an alpha, and the minimum alpha for a number.

The threshold is the r-th largest of n calibration scores. The probability F that a fresh image
exceeds it varies with the calibration set, with the distribution Beta(r, n + 1 - r) (Vovk,
Conditional validity of inductive conformal predictors, 2012). "marginal" bounds the mean of F,
r / (n + 1), by alpha. "training-conditional" bounds F itself by alpha, with probability CERTAINTY.
"""

import math
from typing import Literal

Guarantee = Literal["marginal", "training-conditional", "per-class"]
MARGINAL: Guarantee = "marginal"
CONDITIONAL: Guarantee = "training-conditional"
PER_CLASS: Guarantee = "per-class"
GUARANTEES = (MARGINAL, CONDITIONAL, PER_CLASS)
CERTAINTY = 0.95  # of "training-conditional"

CALIBRATIONS = ("auto", "split", "cross")  # the choices of `belong fit --calibration`
LEAST_IMAGES = 10  # with fewer, the tail, a tenth of the images, has less than one image
LEAST_NEW = 10  # images of a new class in a review, to estimate its mean and covariance
LEAST_FOREIGN = 20  # images marked as not belonging, to train a head on them
# The held-out images that define the p-values of `combined` and select its members. Only the other
# held-out images set its threshold.
FITTING = slice(0, None, 2)
MOST = 2.0**53  # maximum number of images: for the smallest float alpha, 1 / alpha is infinite
ROUNDING = 1e-9  # 0.1 * 10 must count as 1


def rejectable(n: int, alpha: float, guarantee: Guarantee = MARGINAL) -> int:
    """Return the rank r of the threshold among the n calibration scores, largest first: 0..n.

    An image is rejected if fewer than r calibration scores are at least as large as its score; with
    r = 0, no image is rejected. For "per-class", n is the number of images of the class.
    """
    rank = math.floor(alpha * (n + 1) + ROUNDING)
    if guarantee != CONDITIONAL:
        return rank
    # By the distribution of order statistics, P(F > alpha) = P(Binomial(n, alpha) < r). The result
    # is the largest r for which this is at most 1 - CERTAINTY.
    log_chance, below = n * math.log1p(-alpha), 0.0
    for r in range(rank + 1):
        below += math.exp(log_chance)
        if below > 1 - CERTAINTY:
            return r
        log_chance += math.log(n - r) - math.log(r + 1) + math.log(alpha) - math.log1p(-alpha)
    return rank


def least_to_calibrate(alpha: float, guarantee: Guarantee = MARGINAL) -> int:
    """Return the minimum n for alpha; with fewer images, no image could be rejected."""
    if guarantee == CONDITIONAL:
        return math.ceil(min(math.log(1 - CERTAINTY) / math.log1p(-alpha), MOST) - ROUNDING)
    return math.ceil(min(1 / alpha, MOST) - 1 - ROUNDING)


def least_alpha(n: int, guarantee: Guarantee = MARGINAL) -> float:
    """Return the minimum alpha that n images can calibrate, rounded up to four digits."""
    exact = 1 - (1 - CERTAINTY) ** (1 / n) if guarantee == CONDITIONAL else 1 / (n + 1)
    scale = 10.0 ** (3 - math.floor(math.log10(exact)))
    return math.ceil(exact * scale - ROUNDING) / scale


def least_held_out(alpha: float, guarantee: Guarantee = MARGINAL) -> int:
    """Return the minimum number of calibration images of `combined`, of which half set alpha."""
    return 2 * max(LEAST_IMAGES, least_to_calibrate(alpha, guarantee))
