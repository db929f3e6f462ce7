"""Energy of the logits, at temperature 1.

Liu et al., Energy-based Out-of-distribution Detection, NeurIPS 2020,
https://arxiv.org/abs/2010.03759, eq. (4).
"""

from dataclasses import dataclass

from torch import Tensor

from belong.detectors.base import Unfitted
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class Energy(Unfitted):
    """Minus the logarithm of the sum of the exponentials of the logits; nothing is fitted."""

    odd = "the classifier recognizes no class in it"

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return -views.logits.logsumexp(dim=1)

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        return graph("Neg", graph.reduced("LogSumExp", views.logits, 1))
