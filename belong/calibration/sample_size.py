"""How many held-out images a threshold needs."""

import math


def least_to_calibrate(alpha: float) -> int:
    """Return how many held-out images a threshold wants that rejects a share alpha of the rest."""
    return math.ceil(1 / alpha - 1 - 1e-9)


LEAST_IMAGES = 20  # fewer leave no tail to measure


def least_held_out(alpha: float) -> int:
    """Return how many images calibrate `combined` at least: a half fits it, a half keeps alpha."""
    return 2 * max(LEAST_IMAGES, math.ceil(1 / alpha - 1 - 1e-9))
