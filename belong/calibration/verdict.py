"""The verdict: whether an image belongs."""

from collections.abc import Collection
from typing import Literal

import numpy as np

from belong.calibration.sample_size import rejectable

ThresholdKind = Literal["calibrated", "training"]


def decide(scores: np.ndarray, threshold: float | np.ndarray) -> np.ndarray:
    """Decide: an image belongs if its score is at most the threshold.

    This is the one place where a verdict is decided. Where only p-values are known, minus the
    p-value is the score, and `p_value_threshold` gives its threshold. A score that is not finite,
    whichever it is, is never accepted.

    `scores` (n,), higher is more anomalous; one threshold, or one for each (n,) -> (n,) bool.
    """
    return np.asarray(np.isfinite(scores) & (scores <= threshold))


def p_value_threshold(n: int, *, alpha: float) -> float:
    """Return the threshold of minus the p-value: the verdicts of the calibrated threshold.

    It lies half a step above the largest p-value that is rejected: a p-value that was written with
    six digits has the same verdict.

    With n calibration images p-values are multiples of 1 / (n + 1).
    """
    return -(rejectable(n, alpha) + 0.5) / (n + 1)


def kind_in_force(kinds: Collection[str], kind: ThresholdKind) -> ThresholdKind:
    """Return which of a detector's `kinds` of threshold decides: the one that is `wanted`, if any.

    Every detector has a calibrated one.
    """
    return kind if kind in kinds else "calibrated"
