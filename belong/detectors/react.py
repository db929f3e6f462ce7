"""ReAct: the energy of features clipped at a quantile of the training features.

Sun, Guo and Li, ReAct: Out-of-distribution Detection With Rectified Activations, NeurIPS 2021,
https://arxiv.org/abs/2111.12797: min(x, threshold), at the 90th percentile, as in the paper.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from belong.detectors.base import Training, finite
from belong.detectors.shaped_energy import ShapedEnergy


@dataclass(frozen=True)
class RectifiedEnergy(ShapedEnergy):
    """The energy of the logits of min(x, limit).

    Attributes:
        limit: () float32.
    """

    axes = f"{ShapedEnergy.axes}, limit"
    limit: Tensor

    @classmethod
    def fit(cls, training: Training, *, percentile: float = 0.9) -> Self:
        """Compute the limit from all values of the training features."""
        values = finite(training.views.features, "features").numpy()
        limit = torch.tensor(np.quantile(values, percentile), dtype=torch.float32)
        return cls(training.weight, training.bias, limit)

    def shaped(self, features: Tensor) -> Tensor:
        """Return the shaped features: (n, d) -> (n, d)."""
        return features.minimum(self.limit)
