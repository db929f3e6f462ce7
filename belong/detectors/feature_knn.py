"""Distance to the k-th nearest training image, on features of length 1.

Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022,
https://arxiv.org/abs/2204.06507.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.detectors.knn_search import Neighbors, kth_distance_in
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class FeatureNeighbors(Detector):
    """Distance to the k-th neighbor.

    Attributes:
        directions: (n, d) float32, the training features, each of length 1.
        k: () int64.
    """

    odd = "no training image has features like its own"

    directions: Tensor
    k: Tensor

    @classmethod
    def fit(cls, training: Training, *, k: int) -> Self:
        """Keep the directions of the training features."""
        directions = F.normalize(finite(training.views.features, "features"), dim=1)
        fitted = cls(directions, torch.tensor(k))
        fitted._neighbors.kth_distance(directions[:0], k=k)  # refuses a k that is too large
        return fitted

    @cached_property
    def _neighbors(self) -> Neighbors:
        return Neighbors(self.directions)

    def score(self, views: Views) -> Tensor:
        """(n,)."""
        directions = F.normalize(views.features, dim=1)
        return self._neighbors.kth_distance(directions, k=int(self.k))

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """(n,)."""
        length = graph("ReduceL2", views.features, np.array([1]))
        directions = graph("Div", views.features, graph("Max", length, np.float32(1e-12)))
        return kth_distance_in(graph, directions, self.directions.numpy(), k=int(self.k))
