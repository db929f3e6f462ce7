"""Distance to the k-th nearest training image, on the codes of the autoencoder (paper B)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.detectors.knn_search import Neighbors, kth_distance_in
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class CodeNeighbors(Detector):
    """Distance to the k-th neighbor.

    Attributes:
        codes: (n, e) float32, the codes of the training images.
        k: () int64.
    """

    odd = "no training image looks similar"
    needs_autoencoder = True

    axes = "codes ne, k"
    codes: Tensor
    k: Tensor

    @classmethod
    def fit(cls, training: Training, *, k: int) -> Self:
        """Store the codes of the training images."""
        codes = finite(training.views.codes, "codes")
        fitted = cls(codes, torch.tensor(k))
        fitted._neighbors.kth_distance(codes[:0], k=k)  # raises an error if k is too large
        return fitted

    @cached_property
    def _neighbors(self) -> Neighbors:
        return Neighbors(self.codes)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return self._neighbors.kth_distance(views.codes, k=int(self.k))

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        return kth_distance_in(graph, views.codes, self.codes.numpy(), k=int(self.k))
