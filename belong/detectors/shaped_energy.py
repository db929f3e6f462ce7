"""Energy of logits that are computed from shaped features, or are scaled.

This is the base of the detectors that shape the features before the last layer: ReAct, VRA, ASH,
SCALE, LTS, DICE.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from belong.detectors.base import Detector
from belong.models.activations import Views
from belong.models.matrix_product import matrix_product

STEEPEST = 300.0  # maximum exponent of a scale; e^300 times a logit fits into float64


@dataclass(frozen=True)
class ShapedEnergy(Detector):
    """Minus the logarithm of the sum of the exponentials of the logits of shaped features.

    Attributes:
        weight: (c, d) and
        bias: (c,) of the last layer.
    """

    odd = "the classifier recognizes no class in it"

    axes = "weight cd, bias c"
    weight: Tensor
    bias: Tensor

    @abstractmethod
    def shaped(self, features: Tensor) -> Tensor:
        """Return the shaped features: (n, d) -> (n, d)."""

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        product = matrix_product(self.shaped(views.features), self.weight.T)
        return -(product + self.bias).logsumexp(dim=1)


def scaled_energy(products: Tensor, bias: Tensor | float, factor: Tensor) -> Tensor:
    """Return minus the energy of factor x products + bias: (n, c), (c,), (n,) -> (n,) float32.

    The computation is in float64, as a factor may be an exponential. A result that overflows
    float32 becomes the largest value.
    """
    logits = products.double() * factor[:, None] + bias
    largest = torch.finfo(torch.float32).max
    return (-logits.logsumexp(dim=1)).clamp(-largest, largest).float()


def exponential(ratio: Tensor) -> Tensor:
    """Return exp(ratio) of float64 (n,), bounded; 1 for 0 / 0, if all features are 0."""
    return ratio.nan_to_num(0.0, STEEPEST, -STEEPEST).clamp(-STEEPEST, STEEPEST).exp()


def kept_count(d: int, percentile: float) -> int:
    """Return the number of d features that remain without the share `percentile`, at least 1."""
    return max(1, d - round(d * percentile))
