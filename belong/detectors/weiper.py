"""WeiPer: maximum softmax probability, averaged over last layers whose weights are perturbed.

Granz, Heurich and Landgraf, WeiPer: OOD Detection using Weight Perturbations of Class Projections,
NeurIPS 2024, https://arxiv.org/abs/2405.17164, the form for MSP: the weights w of a class are
replaced by w + delta |w| z / |z|, with normal z, 100 times. delta is 2.1, the default of the
authors' code.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training
from belong.models.activations import Views
from belong.models.matrix_product import matrix_product
from belong.runtime.errors import InputError

MOST_WEIGHTS = 2**27  # 512 MiB


@dataclass(frozen=True)
class PerturbedProbability(Detector):
    """Minus the mean of the largest probabilities.

    Attributes:
        weights: (r, c, d) float32, perturbed.
        bias: (c,) of the last layer.
    """

    odd = "the classifier is undecided between classes"

    axes = "weights qcd, bias c"
    weights: Tensor
    bias: Tensor

    @classmethod
    def fit(
        cls, training: Training, *, repeats: int = 100, delta: float = 2.1, seed: int = 0
    ) -> Self:
        """Perturb the weights; `seed` draws the directions."""
        weight = training.weight
        if repeats * weight.numel() > MOST_WEIGHTS:
            raise InputError(
                f"{repeats} perturbed last layers of {weight.numel():,} weights; expected at most "
                f"{MOST_WEIGHTS:,} in all"
            )
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(repeats, *weight.shape, generator=generator)
        noise /= torch.linalg.vector_norm(noise, dim=2, keepdim=True)
        lengths = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
        return cls(weight + delta * lengths * noise, training.bias)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        total = torch.zeros(len(views.features))
        for weight in self.weights:
            logits = matrix_product(views.features, weight.T) + self.bias
            total -= logits.softmax(dim=1).amax(dim=1)
        return total / len(self.weights)
