"""Turn scores into verdicts that keep a promise: split conformal prediction.

A normal image is wrongly rejected with a probability of at most alpha, whatever the detector
and the data, as long as new normal images are exchangeable with those held out of the fit.
That is the rate on average over draws of the held-out images; `promised_range` says how far the
rate of one draw may lie from it.

Where verdicts are given (`belong.calibration.verdict_rule`), an image whose score differs from that
of a calibration image by rounding only has the same score: otherwise the last bit, which is another
one on another processor, on a GPU or in an ONNX graph, would decide about each image that the
calibration set holds itself. `ties` says how far scores may lie apart. Its p-value is larger by
that at most, so that the guarantee holds.

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

# Share of a score, or of the scores' standard deviation where that is larger. Batches, processors
# and ONNX change the score of a detector by up to 4e-6 of it, and that of `combined` by up to 6e-5:
# the excess over the start of a tail is a small difference of large scores
# (`tests/prediction/test_one_verdict.py`).
SAME = 1e-4
NEGLIGIBLE = 1e-12  # of all cases


def ties(calibration: np.ndarray) -> np.ndarray:
    """Return up to which score an image counts as equal to each calibration image, sorted.

    `calibration` (n,) of held-out normal images -> (n,) float64.
    """
    return tie(np.sort(calibration), calibration)


def tie(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Return up to which score an image counts as equal to each of `scores` (m,): (m,) float64."""
    finite = calibration[np.isfinite(calibration)].astype(np.float64)
    spread = float(finite.std()) if len(finite) else 0.0
    exact = np.asarray(scores, np.float64)
    return np.asarray(exact + SAME * np.maximum(np.abs(exact), spread))


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return (1 + number of calibration scores >= s) / (n + 1) for every score s.

    `calibration` (n,) of held-out normal images, `scores` (m,) -> (m,) float64 in 1 / (n + 1) .. 1;
    an image belongs if its p-value is above alpha.
    """
    return p_values_of(np.sort(calibration), scores)


def p_values_of(ordered: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the p-values of `scores` (m,) after n sorted calibration scores, or `ties`: (m,)."""
    n = len(ordered)
    at_least = n - np.searchsorted(ordered, scores, side="left")
    return np.asarray((1 + at_least) / (n + 1))


def threshold(calibration: np.ndarray, *, alpha: float, guarantee: Guarantee = MARGINAL) -> float:
    """Return the score up to which an image belongs: s <= threshold exactly if p(s) > alpha.

    `calibration` (n,) of held-out normal images; `alpha`, the promised share of normal images that
    are rejected, is between 0 and 1. Of "training-conditional" the p-value has to be above a share
    that is smaller than alpha.

    Raises:
        InputError: n is too small for this alpha: no image could ever be rejected.
    """
    n = len(calibration)
    if np.isnan(calibration).any():
        raise InputError("a score of a calibration image is not a number")
    check_within_reach(n, alpha, guarantee)
    return float(np.sort(calibration)[n - rejectable(n, alpha, guarantee)])


def check_within_reach(n: int, alpha: float, guarantee: Guarantee = MARGINAL) -> None:
    """Refuse an alpha that n calibration images cannot keep.

    Raises:
        InputError: says how many are needed, and which alpha is the least.
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
    """Return the range of the false-reject rate on m new images after calibrating on n.

    The number of false rejects follows a beta-binomial law when no two scores tie; the range
    holds it with probability `level`. For `is_cross` see `rejects_range`.
    """
    groups = [(n, m, rejectable(n, alpha, guarantee))]
    low, high = rejects_range(groups, level=level, is_cross=is_cross)
    return low / m, high / m


def rejects_range(
    groups: Sequence[tuple[int, int, int]], *, level: float = 0.95, is_cross: bool = False
) -> tuple[int, int]:
    """Return the range of the number of false rejects in groups with a calibration of their own.

    A group is (n, m, r): n calibration images, m new ones, and a threshold that r calibration
    scores reach; if r is 0, nothing is rejected.

    The training images of a cross-conformal calibration (`is_cross`) are scored by models with
    fewer images than the one that scores new images. They look a little more anomalous, so the
    rate tends to lie below alpha, by an unknown amount. Therefore such a range starts at 0; its
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
    # The law of `scipy.stats.betabinom`; SciPy's import takes a twentieth of scoring 10,000 digits.
    log_factorial = np.array([math.lgamma(count + 1) for count in range(n + m + 1)])
    k = np.arange(m + 1)
    ways = log_factorial[m] - log_factorial[k] - log_factorial[m - k]
    rejected = log_factorial[k + rank - 1] + log_factorial[m - k + n - rank] - log_factorial[n + m]
    calibrated = log_factorial[rank - 1] + log_factorial[n - rank] - log_factorial[n]
    return np.asarray(np.exp(ways + rejected - calibrated))
