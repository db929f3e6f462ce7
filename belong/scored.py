"""What a model says of images."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scored:
    """What a model says of n images.

    Attributes:
        label: (n,) int64, the predicted class, 0..c-1.
        probability: (n,) float32, of that class.
        belongs: (n,) bool.
        p_value: (n,) float64, share of the held-out images that are at least as anomalous.
        score: (n,) float32, of the detector in force, higher is more anomalous.
        nearest: (n,) int64, the class nearest in thresholds of its own.
        distance: (n,) float32, to that class, in its thresholds.
        detector: (n,) str, that decided: of `combined` the most surprised member.
        features: (n, d) float32, the classifier's last hidden layer.
    """

    label: np.ndarray
    probability: np.ndarray
    belongs: np.ndarray
    p_value: np.ndarray
    score: np.ndarray
    nearest: np.ndarray
    distance: np.ndarray
    detector: np.ndarray
    features: np.ndarray
