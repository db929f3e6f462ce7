"""Maximum logit.

Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World Settings, ICML 2022,
https://arxiv.org/abs/1911.11132.
"""

from dataclasses import dataclass

from torch import Tensor

from belong.detectors.base import Unfitted
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class MaximumLogit(Unfitted):
    """Minus the largest logit; nothing is fitted."""

    odd = "the classifier recognizes no class in it"

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return -views.logits.amax(dim=1)

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        return graph("Neg", graph.reduced("Max", views.logits, 1))
