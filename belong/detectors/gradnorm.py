"""GradNorm: the gradient of the last layer towards uniform probabilities.

Huang, Geng and Li, On the Importance of Gradients for Detecting Distributional Shifts in the Wild,
NeurIPS 2021, https://arxiv.org/abs/2110.00218: the L1 norm of the gradient of the last layer's
weights is the L1 norm of the features times the L1 norm of softmax - 1 / c.
"""

from dataclasses import dataclass

from torch import Tensor

from belong.detectors.base import Unfitted
from belong.models.activations import Views


@dataclass(frozen=True)
class GradientNorm(Unfitted):
    """Minus the L1 norm of the gradient; nothing is fitted."""

    odd = "the gradient of its prediction is small, as for images of no class"

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        p = views.logits.double().softmax(dim=1)
        steepness = (p - 1 / p.shape[1]).abs().sum(dim=1)
        return -(views.features.double().abs().sum(dim=1) * steepness).float()
