"""DICE: the energy with the weights of the last layer that contribute most.

Sun and Li, DICE: Leveraging Sparsification for Out-of-Distribution Detection, ECCV 2022,
https://arxiv.org/abs/2111.09805. The contribution of a weight is the weight times the mean training
feature. The masked share, 0.7, is that of the paper for ImageNet.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from belong.detectors.base import Training, finite
from belong.detectors.shaped_energy import ShapedEnergy


@dataclass(frozen=True)
class SparseEnergy(ShapedEnergy):
    """The energy of the sparse last layer."""

    @classmethod
    def fit(cls, training: Training, *, sparsity: float = 0.7) -> Self:
        """Mask the share `sparsity` of the weights, by weight times mean training feature."""
        means = finite(training.views.features, "features").double().mean(dim=0)
        contributions = training.weight * means.float()
        threshold = float(np.quantile(contributions.numpy(), sparsity))
        weight = torch.where(contributions > threshold, training.weight, 0.0)
        return cls(weight, training.bias)

    def shaped(self, features: Tensor) -> Tensor:
        """Return the shaped features: (n, d) -> (n, d)."""
        return features
