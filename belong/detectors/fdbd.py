"""Distance to the decision boundaries, as a share of the distance to the training mean.

Liu and Qin, Fast Decision Boundary based Out-of-Distribution Detector, ICML 2024,
https://arxiv.org/abs/2312.11536: the distance to the boundary between classes a and b is
|logit a - logit b| / |weight a - weight b|.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.models.activations import Views

SMALLEST = 1e-8  # minimum distance to the mean


@dataclass(frozen=True)
class BoundaryDistance(Detector):
    """Minus the mean distance to the boundaries of the predicted class / distance to the mean.

    Attributes:
        mean: (d,) mean of the training features.
        apart: (c, c) distances between the last layer's weight vectors; infinite for equal
            vectors, such as on the diagonal.
    """

    odd = "it is close to the boundary between two classes"

    axes = "mean d, apart cc"
    may_be_infinite = ("apart",)
    mean: Tensor
    apart: Tensor

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Average the features and compute the distances between the weight vectors."""
        x = finite(training.views.features, "features")
        weight = training.weight.double()
        apart = torch.cdist(weight, weight, compute_mode="donot_use_mm_for_euclid_dist")
        apart = apart.masked_fill(apart == 0, torch.inf)
        return cls(x.double().mean(dim=0).float(), apart.float())

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        largest, at = views.logits.max(dim=1)
        distances = (largest[:, None] - views.logits) / self.apart[at]
        away: Tensor = torch.linalg.vector_norm(views.features - self.mean, dim=1).clamp(
            min=SMALLEST
        )
        return -distances.sum(dim=1) / ((len(self.apart) - 1) * away)
