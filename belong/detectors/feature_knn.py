"""Distance to the k-th nearest training image, on features of length 1.

Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022,
https://arxiv.org/abs/2204.06507.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self

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
        layer: the view to compare.
        directions: (n, d) float32, unit vectors of the training images.
        k: () int64.
    """

    odd = "no training image has similar features"
    layer: ClassVar[Literal["features", "hidden"]] = "features"

    axes = "directions nd, k"
    directions: Tensor
    k: Tensor

    @classmethod
    def fit(cls, training: Training, *, k: int) -> Self:
        """Store the normalized vectors of the training images."""
        directions = F.normalize(
            finite(getattr(training.views, cls.layer), f"{cls.layer} layer's values"), dim=1
        )
        fitted = cls(directions, torch.tensor(k))
        fitted._neighbors.kth_distance(directions[:0], k=k)  # raises an error if k is too large
        return fitted

    @cached_property
    def _neighbors(self) -> Neighbors:
        return Neighbors(self.directions)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        directions = F.normalize(getattr(views, self.layer), dim=1)
        return self._neighbors.kth_distance(directions, k=int(self.k))

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        directions = graph.direction(getattr(views, self.layer))
        return kth_distance_in(graph, directions, self.directions.numpy(), k=int(self.k))
