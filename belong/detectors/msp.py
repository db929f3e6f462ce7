"""Maximum softmax probability.

Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples in
Neural Networks, ICLR 2017, https://arxiv.org/abs/1610.02136.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from belong.detectors.base import Unfitted
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class MaximumSoftmaxProbability(Unfitted):
    """Minus the logarithm of the largest class probability; nothing is fitted.

    The logarithm has the same ranking as the probability, without ties at probabilities that round
    to 1.
    """

    odd = "the classifier is undecided between classes"

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        largest, at = views.logits.max(dim=1, keepdim=True)
        # The largest term, 1, is left out, as the others would be lost to rounding.
        others = (views.logits - largest).exp().scatter(1, at, 0).sum(dim=1)
        return others.log1p()

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        largest, at = graph.several(2, "TopK", views.logits, np.array([1]), axis=1)
        terms = graph("Exp", graph("Sub", views.logits, largest))
        zero = graph("Mul", largest, np.float32(0))
        others = graph.reduced("Sum", graph("ScatterElements", terms, at, zero, axis=1), 1)
        # log(1 + x) in float64, as values of x down to about 1e-16 matter.
        more = graph("Add", graph.cast(others, np.float64), np.float64(1))
        return graph.cast(graph("Log", more), np.float32)
