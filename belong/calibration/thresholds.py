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
    """Return the thresholds of each detector: the scores up to which an image belongs.

    Args:
        held_out: detector -> (n,), scores of the calibration images.
        of_training: detector -> the threshold that its paper derives from the training images.
        alpha: promised false-rejection rate, between 0 and 1.
        in_force: the kind of threshold that decides; "calibrated" for a detector without a
            "training" threshold.
        guarantee: scope of alpha; with "per-class", the result is for all classes together.

    Returns:
        detector -> "calibrated", "training" if there is one, and "in_force", the one that decides.

    Raises:
        InputError: there are too few calibration images for alpha.
    """
    chosen = {}
    for name, scores in held_out.items():
        kinds = {"calibrated": conformal.threshold(scores, alpha=alpha, guarantee=guarantee)}
        kinds |= {"training": of_training[name]} if name in of_training else {}
        chosen[name] = kinds | {"in_force": kinds[kind_in_force(kinds, in_force)]}
    return chosen
