"""All detectors by name. A new one is a file, a line here and, if it has any, a section of params.

`combined` is not among them: it is made of their scores (`belong.detectors.combined`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from belong.detectors.active_nodes import ActiveNodes
from belong.detectors.base import Detector
from belong.detectors.code_iforest import CodeIsolation
from belong.detectors.code_knn import CodeNeighbors
from belong.detectors.energy import Energy
from belong.detectors.feature_knn import FeatureNeighbors
from belong.detectors.mahalanobis import ClassGaussians
from belong.detectors.mahalanobis_layers import HiddenMahalanobis, LayerMahalanobis, MapsMahalanobis
from belong.detectors.mahalanobis_tied import TiedMahalanobis
from belong.detectors.max_logit import MaximumLogit
from belong.detectors.mlp_head import SupervisedHead
from belong.detectors.msp import MaximumSoftmaxProbability
from belong.detectors.reconstruction import ReconstructionError
from belong.detectors.relative_mahalanobis import RelativeMahalanobis
from belong.detectors.vim import VirtualLogit
from belong.models.activations import Views


@dataclass(frozen=True)
class Entry:
    """How one detector is loaded and asked.

    Attributes:
        load: builds what was fitted from its arrays.
        score: (fitted, views of n images) -> (n,), higher is more anomalous.
        threshold: the score up to which an image belongs by the paper's own rule, if it has one.
    """

    load: Callable[[dict[str, np.ndarray]], Any]
    score: Callable[[Any, Views], Tensor]
    threshold: float | None = None


# The detectors of paper A. Their stages are fit_mahalanobis and train_head.
GAUSSIANS = {
    # In units of the classes' own thresholds, each of them is 1.
    "mahalanobis": Entry(
        ClassGaussians.from_arrays, lambda fitted, views: fitted.score(views.features), 1.0
    ),
    "mahalanobis_min": Entry(
        ClassGaussians.from_arrays, lambda fitted, views: fitted.score_in_units(views.features)
    ),
}
HEAD = {
    # The score is minus the logit; the paper's sigmoid is one half where that is 0.
    "mlp_head": Entry(
        SupervisedHead.from_arrays, lambda fitted, views: fitted.score(views.features), 0.0
    ),
}

# Fitted to normal training images by the stage fit_detectors.
KINDS: dict[str, type[Detector]] = {
    "reconstruction": ReconstructionError,
    "code_knn": CodeNeighbors,
    "code_iforest": CodeIsolation,
    "active_nodes": ActiveNodes,
    "msp": MaximumSoftmaxProbability,
    "max_logit": MaximumLogit,
    "energy": Energy,
    "mahalanobis_tied": TiedMahalanobis,
    "relative_mahalanobis": RelativeMahalanobis,
    "feature_knn": FeatureNeighbors,
    "vim": VirtualLogit,
    "mahalanobis_maps": MapsMahalanobis,
    "mahalanobis_hidden": HiddenMahalanobis,
    "mahalanobis_layers": LayerMahalanobis,
}

DETECTORS = (
    GAUSSIANS | HEAD | {name: Entry(kind.from_arrays, kind.score) for name, kind in KINDS.items()}
)
