"""The verdicts of all detectors as a table."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from belong.calibration import conformal
from belong.calibration.thresholds import Thresholds, decide


def verdict_table(
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
        columns[f"{name}_belongs"] = decide(values, thresholds[name]["in_force"])
    return pd.DataFrame(columns)
