"""The number of calibration images: what a threshold needs, and what a number of images allows."""

import math

CALIBRATIONS = ("auto", "split", "cross")  # that a person may ask `belong fit` for
LEAST_IMAGES = 10  # of fewer, the tenth that is the tail is less than one image
# Of the held-out images of `combined`: those that fit the p-values and choose the members. The
# others alone set the threshold.
FITTING = slice(0, None, 2)
MOST = 2.0**53  # images; of the least alpha of all, 1 / alpha is infinite
ROUNDING = 1e-9  # 0.1 * 10 must count as 1


def rejectable(n: int, alpha: float) -> int:
    """Return how many of n calibration scores may be as large as an accepted one: 0..n."""
    return math.floor(alpha * (n + 1) + ROUNDING)


def least_to_calibrate(alpha: float) -> int:
    """Return the least n of which one is `rejectable`: with fewer, nothing could be rejected."""
    return math.ceil(min(1 / alpha, MOST) - 1 - ROUNDING)


def least_alpha(n: int) -> float:
    """Return the least alpha, of four digits, at which n images calibrate: one is `rejectable`."""
    return math.ceil(1e4 / (n + 1) - ROUNDING) / 1e4


def least_held_out(alpha: float) -> int:
    """Return how many images calibrate `combined` at least: a half fits it, a half keeps alpha."""
    return 2 * max(LEAST_IMAGES, least_to_calibrate(alpha))
