"""Logit scaling: the energy of logits, multiplied by a measure of the flatness of the features.

Djurisic et al., Logit Scaling for Out-of-Distribution Detection, 2024,
https://arxiv.org/abs/2409.01175: the factor is (sum of all features / sum of the largest 5%)^2.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training
from belong.detectors.shaped_energy import kept_count, scaled_energy
from belong.models.activations import Views


@dataclass(frozen=True)
class LogitScaling(Detector):
    """The energy of the scaled logits.

    Attributes:
        share: () float64, share of the features that count as the largest.
    """

    odd = "the classifier recognizes no class in it"

    axes = "share"
    share: Tensor

    @classmethod
    def fit(cls, training: Training, *, share: float = 0.05) -> Self:  # noqa: ARG003
        """Store the share; nothing is fitted."""
        return cls(torch.tensor(share, dtype=torch.float64))

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        x = views.features.relu().double()
        largest = x.topk(kept_count(x.shape[1], 1 - float(self.share)), dim=1).values.sum(dim=1)
        factor = (x.sum(dim=1) / largest).square().nan_to_num(1.0)  # 1 where all are 0
        return scaled_energy(views.logits, 0.0, factor)
