"""Relative Mahalanobis distance: to the nearest class, minus the distance to all images together.

Ren et al., A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection, 2021,
https://arxiv.org/abs/2106.09022, eq. (3).
"""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from belong.detectors.base import Training
from belong.detectors.covariance import inverse_root
from belong.detectors.mahalanobis_tied import TiedMahalanobis
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class RelativeMahalanobis(TiedMahalanobis):
    """Difference of two squared distances.

    Attributes:
        mean: (d,) and
        whitening_all: (d, d) of one Gaussian for all training images.
    """

    axes = f"{TiedMahalanobis.axes}, mean d, whitening_all dd"
    mean: Tensor
    whitening_all: Tensor

    @classmethod
    def fit(cls, training: Training, *, ridge: float) -> Self:
        """Fit in float64; `ridge` is a share of the mean variance."""
        tied = TiedMahalanobis.fit(training, ridge=ridge)
        x = training.views.features.double()
        mean = x.mean(dim=0)
        centered = x - mean
        root = inverse_root(
            centered.T @ centered / len(x), len(x), ridge=ridge, subject="all images"
        )
        return cls(tied.means, tied.whitening, mean.float(), root.float())

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        whole = ((views.features - self.mean) @ self.whitening_all).square().sum(dim=1)
        return super().score(views) - whole

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        constants = self.arrays()
        off = graph("Sub", views.features, constants["mean"])
        whole = graph.reduced("SumSquare", graph("MatMul", off, constants["whitening_all"]), 1)
        return graph("Sub", super().onnx(graph, views), whole)
