"""Decide whether an image belongs."""

from collections.abc import Collection
from typing import Literal

import numpy as np

from belong.calibration.sample_size import rejectable

ThresholdKind = Literal["calibrated", "training"]


def decide(scores: np.ndarray, threshold: float | np.ndarray) -> np.ndarray:
    """Return whether each image belongs: whether its score is at most the threshold.

    Every verdict is decided here. If only p-values are known, minus the p-value is the score, and
    `p_value_threshold` returns its threshold. An image with a non-finite score does not belong.

    `scores` (n,), higher is more anomalous; `threshold`: a number, or (n,) -> (n,) bool.
    """
    return np.asarray(np.isfinite(scores) & (scores <= threshold))


def p_value_threshold(n: int, *, alpha: float) -> float:
    """Return the threshold for minus the p-value that gives the verdicts of the calibrated one.

    With n calibration images, p-values are multiples of 1 / (n + 1). The threshold lies half a step
    above the largest rejected p-value, so a p-value that was rounded to six digits has the same
    verdict.
    """
    return -(rejectable(n, alpha) + 0.5) / (n + 1)


def kind_in_force(kinds: Collection[str], kind: ThresholdKind) -> ThresholdKind:
    """Return the kind of threshold that decides: `kind` if it is among `kinds`, else "calibrated".

    Every detector has a calibrated threshold.
    """
    return kind if kind in kinds else "calibrated"
