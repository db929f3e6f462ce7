"""All detectors by name: where each was fitted, how it scores, which threshold its paper gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from belong.detectors.mahalanobis import ClassGaussians
from belong.detectors.supervised_head import SupervisedHead


@dataclass(frozen=True)
class Detector:
    """How one detector scores the features of images, given what was fitted.

    Attributes:
        fitted: name of the artefact that it is loaded from.
        load: builds what was fitted from the artefact's arrays.
        score: (fitted, features (n, d)) -> (n,), higher is more anomalous.
        threshold: the score up to which an image belongs by the paper's own rule, or None
            where that is a quantile of the scores of the training images.
    """

    fitted: str
    load: Callable[[dict[str, np.ndarray]], Any]
    score: Callable[[Any, Tensor], Tensor]
    threshold: float | None


DETECTORS = {
    # In units of the classes' own thresholds, each of them is 1.
    "mahalanobis": Detector("mahalanobis", ClassGaussians.from_arrays, ClassGaussians.score, 1.0),
    "mahalanobis_min": Detector(
        "mahalanobis", ClassGaussians.from_arrays, ClassGaussians.score_in_units, None
    ),
    # The score is minus the logit; the paper's sigmoid is one half where that is 0.
    "mlp_head": Detector("head", SupervisedHead.from_arrays, SupervisedHead.score, 0.0),
}
