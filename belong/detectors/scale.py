"""SCALE: the energy of features, multiplied by a measure of their flatness.

Xu, Chen, Franchi and Yao, Scaling for Training Time and Post-hoc Out-of-distribution Detection
Enhancement, ICLR 2024, https://arxiv.org/abs/2310.00227: the factor is exp(sum of all features /
sum of the largest). No feature is pruned. The share of features that do not count among the
largest, 85%, is that of the paper.
"""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from belong.detectors.ash import PrunedEnergy
from belong.detectors.base import Training
from belong.detectors.shaped_energy import exponential, scaled_energy
from belong.models.activations import Views
from belong.models.matrix_product import matrix_product


@dataclass(frozen=True)
class ScaledEnergy(PrunedEnergy):
    """The energy of the logits of scaled features."""

    @classmethod
    def fit(cls, training: Training, *, percentile: float = 0.85) -> Self:
        """Store the last layer; nothing is fitted."""
        return super().fit(training, percentile=percentile)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        largest, _ = self._largest(views.features)
        ratio = views.features.double().sum(dim=1) / largest.double().sum(dim=1)
        products = matrix_product(views.features, self.weight.T)
        return scaled_energy(products, self.bias, exponential(ratio))
