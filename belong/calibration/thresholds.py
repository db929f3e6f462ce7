"""Set the thresholds of the detectors on held-out normal images."""

from collections.abc import Mapping

import numpy as np

from belong.calibration import conformal
from belong.calibration.sample_size import MARGINAL, Guarantee
from belong.calibration.verdict import ThresholdKind, kind_in_force

Thresholds = Mapping[str, Mapping[str, float]]


def thresholds(
    held_out: Mapping[str, np.ndarray],
    of_training: Mapping[str, float],
    *,
    alpha: float,
    in_force: ThresholdKind,
    guarantee: Guarantee = MARGINAL,
) -> dict[str, dict[str, float]]:
    """Return for each detector the scores up to which an image belongs.

    `held_out` is detector -> scores of the calibration images (n,), `of_training` detector -> the
    threshold that its paper takes from the training images; a detector without one stays
    calibrated. For "per-class" these are the thresholds of all classes together.

    Returns:
        detector -> "calibrated", perhaps "training", and "in_force", the one that decides.
    """
    chosen = {}
    for name, scores in held_out.items():
        kinds = {"calibrated": conformal.threshold(scores, alpha=alpha, guarantee=guarantee)}
        kinds |= {"training": of_training[name]} if name in of_training else {}
        chosen[name] = kinds | {"in_force": kinds[kind_in_force(kinds, in_force)]}
    return chosen
