"""Variational rectified activation: the energy of features without their low and high values.

Xu, Lian, Liu and Tao, VRA: Variational Rectified Activation for Out-of-Distribution Detection,
NeurIPS 2023, https://arxiv.org/abs/2302.11716. `RectifiedActivation` is the paper's VRA-P: values
below a lower threshold become 0, and values above an upper threshold become that threshold. The
quantiles of the thresholds are our choice. `ClippedActivation` also raises values below the lower
threshold to that threshold, and has two thresholds per feature, as in pytorch-ood.
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
    """The energy of x, set to 0 below `low` and clipped at `high`; both () float32."""

    axes = f"{ShapedEnergy.axes}, low, high"
    low: Tensor
    high: Tensor

    @classmethod
    def fit(cls, training: Training, *, lower: float = 0.6, upper: float = 0.95) -> Self:
        """Compute both thresholds as quantiles of all training values."""
        values = finite(training.views.features, "features").numpy()
        low, high = torch.from_numpy(np.quantile(values, [lower, upper])).float()
        return cls(training.weight, training.bias, low, high)

    def shaped(self, features: Tensor) -> Tensor:
        """Return the shaped features: (n, d) -> (n, d)."""
        return features.minimum(self.high).where(features >= self.low, 0.0)


@dataclass(frozen=True)
class ClippedActivation(ShapedEnergy):
    """The energy of x, clipped to `low`..`high`; both (d,) float32."""

    axes = f"{ShapedEnergy.axes}, low d, high d"
    low: Tensor
    high: Tensor

    @classmethod
    def fit(cls, training: Training, *, lower: float = 0.01, upper: float = 0.99) -> Self:
        """Compute both thresholds of each feature as quantiles of its training values."""
        values = finite(training.views.features, "features").numpy()
        low, high = torch.from_numpy(np.quantile(values, [lower, upper], axis=0)).float()
        return cls(training.weight, training.bias, low, high)

    def shaped(self, features: Tensor) -> Tensor:
        """Return the shaped features: (n, d) -> (n, d)."""
        return features.clamp(self.low, self.high)
