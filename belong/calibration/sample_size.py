"""The number of calibration images: what a threshold needs, and what a number of images allows.

Of n calibration scores the r-th largest is the threshold. Fresh images then exceed it with a
probability F whose law, over draws of the calibration set, is Beta(r, n + 1 - r) (Vovk, Conditional
validity of inductive conformal predictors, 2012). "marginal" keeps its mean r / (n + 1) at most
alpha; "training-conditional" keeps F itself at most alpha with a probability of CERTAINTY.
"""

import math
from typing import Literal

Guarantee = Literal["marginal", "training-conditional", "per-class"]
MARGINAL: Guarantee = "marginal"
CONDITIONAL: Guarantee = "training-conditional"
PER_CLASS: Guarantee = "per-class"
GUARANTEES = (MARGINAL, CONDITIONAL, PER_CLASS)
CERTAINTY = 0.95  # of "training-conditional"

CALIBRATIONS = ("auto", "split", "cross")  # that a person may ask `belong fit` for
LEAST_IMAGES = 10  # of fewer, the tenth that is the tail is less than one image
LEAST_NEW = 10  # images of a new class in a review, to estimate its mean and covariance
LEAST_FOREIGN = 20  # images marked as not belonging, to train a head on them
# Of the held-out images of `combined`: those that fit the p-values and choose the members. The
# others alone set the threshold.
FITTING = slice(0, None, 2)
MOST = 2.0**53  # images; of the least alpha of all, 1 / alpha is infinite
ROUNDING = 1e-9  # 0.1 * 10 must count as 1


def rejectable(n: int, alpha: float, guarantee: Guarantee = MARGINAL) -> int:
    """Return how many of n calibration scores may be as large as a rejected one: 0..n.

    Of "per-class", n is the number of images of the class.
    """
    rank = math.floor(alpha * (n + 1) + ROUNDING)
    if guarantee != CONDITIONAL:
        return rank
    # F <= alpha exactly if at least r of n coins that fall with alpha do: the law of order
    # statistics. So r is the largest with P(Binomial(n, alpha) < r) <= 1 - CERTAINTY.
    log_chance, below = n * math.log1p(-alpha), 0.0
    for r in range(rank + 1):
        below += math.exp(log_chance)
        if below > 1 - CERTAINTY:
            return r
        log_chance += math.log(n - r) - math.log(r + 1) + math.log(alpha) - math.log1p(-alpha)
    return rank


def least_to_calibrate(alpha: float, guarantee: Guarantee = MARGINAL) -> int:
    """Return the least n of which one is `rejectable`: with fewer, nothing could be rejected."""
    if guarantee == CONDITIONAL:
        return math.ceil(min(math.log(1 - CERTAINTY) / math.log1p(-alpha), MOST) - ROUNDING)
    return math.ceil(min(1 / alpha, MOST) - 1 - ROUNDING)


def least_alpha(n: int, guarantee: Guarantee = MARGINAL) -> float:
    """Return the least alpha that n images can calibrate, rounded up to four digits."""
    exact = 1 - (1 - CERTAINTY) ** (1 / n) if guarantee == CONDITIONAL else 1 / (n + 1)
    scale = 10.0 ** (3 - math.floor(math.log10(exact)))
    return math.ceil(exact * scale - ROUNDING) / scale


def least_held_out(alpha: float, guarantee: Guarantee = MARGINAL) -> int:
    """Return how many images calibrate `combined` at least: a half fits it, a half keeps alpha."""
    return 2 * max(LEAST_IMAGES, least_to_calibrate(alpha, guarantee))
