"""From scores to verdicts: thresholds set on held-out normal images, and the decision."""

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np

from belong.calibration import conformal
from belong.calibration.sample_size import rejectable

Thresholds = Mapping[str, Mapping[str, float]]
ThresholdKind = Literal["calibrated", "training"]


def thresholds(
    held_out: Mapping[str, np.ndarray],
    own: Mapping[str, float],
    *,
    alpha: float,
    in_force: ThresholdKind,
) -> dict[str, dict[str, float]]:
    """Return for each detector the scores up to which an image belongs.

    `held_out` is detector -> scores of the calibration images (n,), `own` detector -> the threshold
    that its paper takes from the training images; a detector without one stays calibrated.

    Returns:
        detector -> "calibrated", perhaps "training", and "in_force", the one that decides.
    """
    chosen = {}
    for name, scores in held_out.items():
        kinds = {"calibrated": conformal.threshold(scores, alpha=alpha)}
        kinds |= {"training": own[name]} if name in own else {}
        chosen[name] = kinds | {"in_force": kinds[kind_in_force(kinds, in_force)]}
    return chosen


def kind_in_force(kinds: Collection[str], wanted: ThresholdKind) -> ThresholdKind:
    """Return which of a detector's `kinds` of threshold decides: the one that is `wanted`, if any.

    Every detector has a calibrated one.
    """
    return wanted if wanted in kinds else "calibrated"


def decide(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Decide: an image belongs if its score is at most the threshold.

    This is the one place where a verdict is decided. Where only p-values are known, minus the
    p-value is the score, and `p_value_threshold` gives its threshold.

    `scores` (n,), higher is more anomalous -> (n,) bool.
    """
    return np.asarray(scores <= threshold)


def p_value_threshold(n: int, *, alpha: float) -> float:
    """Return the threshold of minus the p-value: the verdicts of the calibrated threshold.

    It lies half a step above the largest p-value that is rejected: a p-value that was written with
    six digits has the same verdict.

    With n calibration images p-values are multiples of 1 / (n + 1).
    """
    return -(rejectable(n, alpha) + 0.5) / (n + 1)
