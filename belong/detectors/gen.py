"""Generalized entropy of the class probabilities.

Liu, Lochman and Zach, GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection,
CVPR 2023, eq. (3): the sum of p^gamma (1 - p)^gamma over the largest probabilities p.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from belong.detectors.base import Unfitted
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class GeneralizedEntropy(Unfitted):
    """The entropy with power `gamma`, () float64, of the `top` largest, () int64."""

    odd = "the classifier is undecided between classes"
    axes = "gamma, top"
    gamma: Tensor
    top: Tensor

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        p = views.logits.double().softmax(dim=1).sort(dim=1, descending=True).values
        others = p[:, 1:].sum(dim=1, keepdim=True)  # 1 - p of the largest p, without rounding to 0
        terms = (p * torch.cat((others, 1 - p[:, 1:]), dim=1)).pow(self.gamma)
        return terms[:, : int(self.top)].sum(dim=1).float()

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        p, one = graph("Softmax", graph.cast(views.logits, np.float64), axis=1), np.array([1])
        p, _ = graph.several(2, "TopK", p, graph("Shape", p, start=1), axis=1)
        tail = graph("Slice", p, one, np.array([2**31]), one)
        others = graph("ReduceSum", tail, one)
        complement = graph("Concat", others, graph("Sub", np.float64(1), tail), axis=1)
        terms = graph("Pow", graph("Mul", p, complement), self.gamma.numpy())
        terms = graph("Slice", terms, np.array([0]), self.top.numpy()[None], one)
        return graph.cast(graph.reduced("Sum", terms, 1), np.float32)
