"""Activation shaping: the energy after the smaller features of each image are pruned.

Djurisic, Bozanic, Ashok and Liu, Extremely Simple Activation Shaping for Out-of-Distribution
Detection, ICLR 2023, https://arxiv.org/abs/2209.09858. ASH-P only prunes. ASH-B sets the remaining
features to a constant that keeps the sum. ASH-S multiplies them by exp(sum before / sum after). The
pruned shares are those of the paper for ImageNet.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Training
from belong.detectors.shaped_energy import ShapedEnergy, exponential, kept_count, scaled_energy
from belong.models.activations import Views
from belong.models.matrix_product import matrix_product


@dataclass(frozen=True)
class PrunedEnergy(ShapedEnergy):
    """ASH-P: the energy of the largest features.

    Attributes:
        percentile: () float64, share of the features of an image that is set to 0.
    """

    axes = f"{ShapedEnergy.axes}, percentile"
    percentile: Tensor

    @classmethod
    def fit(cls, training: Training, *, percentile: float = 0.6) -> Self:
        """Store the last layer; nothing is fitted."""
        share = torch.tensor(percentile, dtype=torch.float64)
        return cls(training.weight, training.bias, share)

    def shaped(self, features: Tensor) -> Tensor:
        """Return the shaped features: (n, d) -> (n, d)."""
        values, places = self._largest(features)
        return torch.zeros_like(features).scatter(1, places, values)

    def _largest(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values and the indices of the largest features: (n, k) each."""
        top = features.topk(kept_count(features.shape[1], float(self.percentile)), dim=1)
        return top.values, top.indices


@dataclass(frozen=True)
class BinarizedEnergy(PrunedEnergy):
    """ASH-B: the largest features share the sum of all."""

    @classmethod
    def fit(cls, training: Training, *, percentile: float = 0.65) -> Self:
        """Store the last layer; nothing is fitted."""
        return super().fit(training, percentile=percentile)

    def shaped(self, features: Tensor) -> Tensor:
        """Return the shaped features: (n, d) -> (n, d)."""
        values, places = self._largest(features)
        equal = (features.sum(dim=1, keepdim=True) / values.shape[1]).expand_as(values)
        return torch.zeros_like(features).scatter(1, places, equal)


@dataclass(frozen=True)
class SharpenedEnergy(PrunedEnergy):
    """ASH-S: the largest features, multiplied by exp(sum of all / their own sum)."""

    @classmethod
    def fit(cls, training: Training, *, percentile: float = 0.9) -> Self:
        """Store the last layer; nothing is fitted."""
        return super().fit(training, percentile=percentile)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        pruned = self.shaped(views.features)
        ratio = views.features.double().sum(dim=1) / pruned.double().sum(dim=1)
        products = matrix_product(pruned, self.weight.T)
        return scaled_energy(products, self.bias, exponential(ratio))
