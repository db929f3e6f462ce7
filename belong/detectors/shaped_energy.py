"""Energy of logits that the last layer makes of changed features, or that are scaled.

The base of the detectors that shape the features before the last layer: ReAct, VRA, ASH, SCALE,
LTS, DICE.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from belong.detectors.base import Detector
from belong.models.activations import Views
from belong.models.matrix_product import matrix_product

STEEPEST = 300.0  # exponent of a scale: e^300 leaves room for the logits in float64


@dataclass(frozen=True)
class ShapedEnergy(Detector):
    """Minus the logarithm of the sum of the exponentials of the logits of shaped features.

    Attributes:
        weight: (c, d) and
        bias: (c,) of the last layer.
    """

    odd = "the classifier recognizes no class in it"

    weight: Tensor
    bias: Tensor

    @abstractmethod
    def shaped(self, features: Tensor) -> Tensor:
        """(n, d) -> (n, d)."""

    def score(self, views: Views) -> Tensor:
        """(n,)."""
        product = matrix_product(self.shaped(views.features), self.weight.T)
        return -(product + self.bias).logsumexp(dim=1)


def scaled_energy(products: Tensor, bias: Tensor | float, factor: Tensor) -> Tensor:
    """Return minus the energy of factor x products + bias: (n, c), (c,), (n,) -> (n,) float32.

    In float64, since a factor may be an exponential; what float32 cannot hold is its largest value.
    """
    logits = products.double() * factor[:, None] + bias
    largest = torch.finfo(torch.float32).max
    return (-logits.logsumexp(dim=1)).clamp(-largest, largest).float()


def exponential(ratio: Tensor) -> Tensor:
    """Return exp(ratio) of float64 (n,), bounded; of 0 / 0, all features being 0, it is 1."""
    return ratio.nan_to_num(0.0, STEEPEST, -STEEPEST).clamp(-STEEPEST, STEEPEST).exp()


def kept(d: int, percentile: float) -> int:
    """Return how many of d features are not pruned: all but the share `percentile`, at least 1."""
    return max(1, d - round(d * percentile))
