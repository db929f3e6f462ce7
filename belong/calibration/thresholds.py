"""From scores to verdicts: thresholds set on held-out normal images, and a table to read."""

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
import pandas as pd

from belong.calibration import conformal

Thresholds = Mapping[str, Mapping[str, float]]
Kind = Literal["calibrated", "training"]


def thresholds(
    held_out: Mapping[str, np.ndarray], own: Mapping[str, float], *, alpha: float, in_force: Kind
) -> dict[str, dict[str, float]]:
    """Return for each detector the scores up to which an image belongs.

    Args:
        held_out: detector -> scores of the calibration images (n,).
        own: detector -> the threshold that its paper takes from the training images; not every
            detector has one.
        alpha: promised share of normal images that are rejected, 0 to 1.
        in_force: "calibrated" or "training"; a detector without the latter stays calibrated.

    Returns:
        detector -> "calibrated", perhaps "training", and "in_force", the one that decides.
    """
    chosen = {}
    for name, scores in held_out.items():
        kinds = {"calibrated": conformal.threshold(scores, alpha=alpha)}
        if name in own:
            kinds["training"] = own[name]
        chosen[name] = kinds | {"in_force": kinds[kind_in_force(kinds, in_force)]}
    return chosen


def kind_in_force(kinds: Collection[str], wanted: Kind) -> Kind:
    """Return which of a detector's thresholds decides: the one that the parameters name.

    Args:
        kinds: the thresholds that the detector has; every detector has a calibrated one.
        wanted: `calibration.threshold` of the parameters.
    """
    return wanted if wanted in kinds else "calibrated"


def table(
    scores: Mapping[str, np.ndarray],
    held_out: Mapping[str, np.ndarray],
    thresholds: Thresholds,
    predicted: np.ndarray,
) -> pd.DataFrame:
    """Return one row per image: its predicted class, and what each detector says of it.

    Args:
        scores: detector -> (n,).
        held_out: detector -> scores of the calibration images.
        thresholds: as `thresholds` returns them.
        predicted: (n,) str, the class names.

    Returns:
        Columns: `predicted_class`, and for each detector `DETECTOR_score`, `DETECTOR_p_value` and
        `DETECTOR_belongs`.
    """
    columns: dict[str, np.ndarray] = {"predicted_class": predicted}
    for name, values in scores.items():
        columns[f"{name}_score"] = values
        columns[f"{name}_p_value"] = conformal.p_values(held_out[name], values)
        columns[f"{name}_belongs"] = values <= thresholds[name]["in_force"]
    return pd.DataFrame(columns)
