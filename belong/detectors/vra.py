"""Variational rectified activation: the energy of features without their low and high values.

Xu, Lian, Liu and Tao, VRA: Variational Rectified Activation for Out-of-Distribution Detection,
NeurIPS 2023, https://arxiv.org/abs/2302.11716. `RectifiedActivation` is the paper's VRA-P: values
below a lower threshold become 0, and values above an upper threshold become that threshold; which
quantiles of the training values these are is our choice. `ClippedActivation` moves values below the
lower threshold up to it, and has two thresholds for each feature: the form of pytorch-ood.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from belong.detectors.base import Training, finite
from belong.detectors.shaped_energy import ShapedEnergy


@dataclass(frozen=True)
class RectifiedActivation(ShapedEnergy):
    """The energy of x where it is at least `low`, cut off at `high`; () float32 both."""

    low: Tensor
    high: Tensor

    @classmethod
    def fit(cls, training: Training, *, lower: float = 0.6, upper: float = 0.95) -> Self:
        """Take both thresholds from all values of all training features, as quantiles."""
        values = finite(training.views.features, "features").numpy()
        low, high = torch.from_numpy(np.quantile(values, [lower, upper])).float()
        return cls(training.weight, training.bias, low, high)

    def shaped(self, features: Tensor) -> Tensor:
        """(n, d) -> (n, d)."""
        return features.minimum(self.high).where(features >= self.low, 0.0)


@dataclass(frozen=True)
class ClippedActivation(ShapedEnergy):
    """The energy of x between `low` and `high`; (d,) float32 both."""

    low: Tensor
    high: Tensor

    @classmethod
    def fit(cls, training: Training, *, lower: float = 0.01, upper: float = 0.99) -> Self:
        """Take both thresholds of a feature from its training values, as quantiles."""
        values = finite(training.views.features, "features").numpy()
        low, high = torch.from_numpy(np.quantile(values, [lower, upper], axis=0)).float()
        return cls(training.weight, training.bias, low, high)

    def shaped(self, features: Tensor) -> Tensor:
        """(n, d) -> (n, d)."""
        return features.clamp(self.low, self.high)
