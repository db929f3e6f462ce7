"""Turn scores into verdicts that keep a promise: split conformal prediction.

A normal image is wrongly rejected with a probability of at most alpha, whatever the detector
and the data, as long as new normal images are exchangeable with those held out of the fit.
That is the rate on average over draws of the held-out images; `promised_range` says how far the
rate of one draw may lie from it.

Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Angelopoulos and Bates,
A Gentle Introduction to Conformal Prediction, 2021, appendix D.
"""

import math

import numpy as np

from belong.calibration.sample_size import least_to_calibrate, rejectable
from belong.runtime.errors import InputError


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return (1 + number of calibration scores >= s) / (n + 1) for every score s.

    `calibration` (n,) of held-out normal images, `scores` (m,) -> (m,) float64 in 1 / (n + 1) .. 1;
    an image belongs if its p-value is above alpha.
    """
    n = len(calibration)
    at_least = n - np.searchsorted(np.sort(calibration), scores, side="left")
    return np.asarray((1 + at_least) / (n + 1))


def threshold(calibration: np.ndarray, *, alpha: float) -> float:
    """Return the score up to which an image belongs: s <= threshold exactly if p(s) > alpha.

    `calibration` (n,) of held-out normal images; `alpha`, the promised share of normal images that
    are rejected, is between 0 and 1.

    Raises:
        InputError: n is too small for this alpha: no image could ever be rejected.
    """
    n = len(calibration)
    if np.isnan(calibration).any():
        raise InputError("a score of a calibration image is not a number")
    rank = rejectable(n, alpha)
    if rank < 1:
        raise InputError(
            f"alpha {alpha:g} needs at least {least_to_calibrate(alpha)} calibration images, "
            f"got {n}"
        )
    return float(np.sort(calibration)[n - rank])


def promised_range(n: int, m: int, *, alpha: float, level: float = 0.95) -> tuple[float, float]:
    """Return where the false-reject rate lies on m new images after calibrating on n.

    The number of false rejects follows a beta-binomial law when no two scores tie; the range
    holds it with probability `level`.
    """
    rank = rejectable(n, alpha)
    if rank < 1:
        return 0.0, 0.0  # nothing can be rejected
    # The law of `scipy.stats.betabinom`; SciPy's import takes a twentieth of scoring 10,000 digits.
    log_factorial = np.array([math.lgamma(count + 1) for count in range(n + m + 1)])
    k = np.arange(m + 1)
    ways = log_factorial[m] - log_factorial[k] - log_factorial[m - k]
    rejected = log_factorial[k + rank - 1] + log_factorial[m - k + n - rank] - log_factorial[n + m]
    calibrated = log_factorial[rank - 1] + log_factorial[n - rank] - log_factorial[n]
    chances = np.exp(ways + rejected - calibrated)
    low, high = np.searchsorted(chances.cumsum(), ((1 - level) / 2, (1 + level) / 2))
    return float(low) / m, float(high) / m
