"""Turn scores into verdicts with a bounded false-rejection rate: split conformal prediction.

A normal image is rejected with a probability of at most alpha, for any detector and any data, as
long as new normal images are exchangeable with the held-out calibration images. This is the average
rate over draws of the calibration images. `promised_range` returns the range of the rate for a
single draw.

In verdicts (`belong.calibration.verdict_rule`), scores that differ only by rounding count as equal.
Other processors, GPUs and ONNX graphs change the last bit of a score. Without this rule, the last
bit would decide the verdict of each image that is itself a calibration image. `ties` defines how
far equal scores may differ. The rule can only increase a p-value, so the guarantee holds.

Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Angelopoulos and Bates,
A Gentle Introduction to Conformal Prediction, 2021, appendix D.
"""

import math
from collections.abc import Sequence

import numpy as np

from belong.calibration.sample_size import (
    MARGINAL,
    Guarantee,
    least_alpha,
    least_to_calibrate,
    rejectable,
)
from belong.runtime.errors import InputError

# Tolerance of equal scores, as a share of the score, or of the standard deviation of the scores if
# that is larger. Batches, processors and ONNX change the score of a detector by up to 4e-6 of its
# value, and that of `combined` by up to 6e-5: the excess over the start of a tail is a small
# difference of large scores (`tests/prediction/test_one_verdict.py`).
SAME = 1e-4
NEGLIGIBLE = 1e-12  # probabilities below this share of the largest one are dropped


def ties(calibration: np.ndarray) -> np.ndarray:
    """Return, for each calibration score, the largest score that counts as equal, sorted.

    `calibration` (n,): scores of held-out normal images -> (n,) float64.
    """
    return tie(np.sort(calibration), calibration)


def tie(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Return the largest score that counts as equal to each of `scores` (m,): (m,) float64.

    The tolerance depends on the spread of the `calibration` scores (n,).
    """
    finite = calibration[np.isfinite(calibration)].astype(np.float64)
    spread = float(finite.std()) if len(finite) else 0.0
    exact = np.asarray(scores, np.float64)
    return np.asarray(exact + SAME * np.maximum(np.abs(exact), spread))


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the conformal p-value (1 + #{calibration scores >= s}) / (n + 1) of every score s.

    `calibration` (n,): scores of held-out normal images; `scores` (m,) -> (m,) float64, from
    1 / (n + 1) to 1. An image belongs if its p-value is above alpha.
    """
    return p_values_of(np.sort(calibration), scores)


def p_values_of(ordered: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the p-values of `scores` (m,), given n sorted calibration scores, or `ties`: (m,)."""
    n = len(ordered)
    at_least = n - np.searchsorted(ordered, scores, side="left")
    return np.asarray((1 + at_least) / (n + 1))


def threshold(calibration: np.ndarray, *, alpha: float, guarantee: Guarantee = MARGINAL) -> float:
    """Return the score up to which an image belongs: s <= threshold exactly if p(s) > alpha.

    `calibration` (n,): scores of held-out normal images; `alpha`: promised false-rejection rate,
    between 0 and 1. With "training-conditional", the p-value is compared with a smaller share than
    alpha.

    Raises:
        InputError: n is too small for this alpha, so that no image could ever be rejected; or a
            score is NaN.
    """
    n = len(calibration)
    if np.isnan(calibration).any():
        raise InputError("a score of a calibration image is not a number")
    check_within_reach(n, alpha, guarantee)
    return float(np.sort(calibration)[n - rejectable(n, alpha, guarantee)])


def check_within_reach(n: int, alpha: float, guarantee: Guarantee = MARGINAL) -> None:
    """Refuse an alpha that n calibration images cannot keep.

    Raises:
        InputError: n is too small; the message has the number needed and the minimum alpha.
    """
    if n < (least := least_to_calibrate(alpha, guarantee)):
        how = "" if guarantee == MARGINAL else f" with guarantee {guarantee}"
        raise InputError(
            f"alpha {alpha:g}{how} needs at least {least} calibration images, got {n}; the "
            f"smallest possible alpha is {least_alpha(n, guarantee):g}"
        )


def promised_range(
    n: int,
    m: int,
    *,
    alpha: float,
    level: float = 0.95,
    guarantee: Guarantee = MARGINAL,
    is_cross: bool = False,
) -> tuple[float, float]:
    """Return the range of the false-rejection rate on m new images after calibration on n images.

    The number of false rejects has a beta-binomial distribution if no two scores tie. The range
    contains the rate with probability `level`. For `is_cross` see `rejects_range`.
    """
    groups = [(n, m, rejectable(n, alpha, guarantee))]
    low, high = rejects_range(groups, level=level, is_cross=is_cross)
    return low / m, high / m


def rejects_range(
    groups: Sequence[tuple[int, int, int]], *, level: float = 0.95, is_cross: bool = False
) -> tuple[int, int]:
    """Return the range of the number of false rejects, summed over groups of images.

    A group is (n, m, r): n calibration images, m new images, and a threshold that r calibration
    scores reach; if r is 0, nothing is rejected. Each group has its own calibration images.

    The training images of a cross-conformal calibration (`is_cross`) are scored by models fitted to
    fewer images than the model that scores new images. They look slightly more anomalous, so the
    rate tends to be below alpha, by an unknown amount. Such a range therefore starts at 0. Its
    upper end is that of an exact calibration.
    """
    first, chances = 0, np.ones(1)
    for n, m, rank in groups:
        chances_of_count = chances_of(n, m, rank) if rank else np.ones(1)
        total = np.convolve(chances, chances_of_count)
        likely = np.flatnonzero(total > NEGLIGIBLE * total.max())
        first, chances = first + int(likely[0]), total[likely[0] : likely[-1] + 1]
    low, high = np.searchsorted(chances.cumsum(), ((1 - level) / 2, (1 + level) / 2))
    return 0 if is_cross else first + int(low), first + int(high)


def chances_of(n: int, m: int, rank: int) -> np.ndarray:
    """Return the probability of 0, 1, ... m false rejects among m new images: (m + 1,).

    The threshold is the score that `rank` of n calibration scores reach, 1..n.
    """
    # As `scipy.stats.betabinom`; importing SciPy takes a twentieth of the time for 10,000 digits.
    log_factorial = np.array([math.lgamma(count + 1) for count in range(n + m + 1)])
    k = np.arange(m + 1)
    ways = log_factorial[m] - log_factorial[k] - log_factorial[m - k]
    rejected = log_factorial[k + rank - 1] + log_factorial[m - k + n - rank] - log_factorial[n + m]
    calibrated = log_factorial[rank - 1] + log_factorial[n - rank] - log_factorial[n]
    return np.asarray(np.exp(ways + rejected - calibrated))
