"""Distance to the k-th nearest training image, on features of length 1.

Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022,
https://arxiv.org/abs/2204.06507.
"""

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.detectors.contract import Detector, Training, finite
from belong.neighbors import kth_distance
from belong.views import Views


@dataclass(frozen=True)
class FeatureNeighbors(Detector):
    """Distance to the k-th neighbor.

    Attributes:
        directions: (n, d) float32, the training features, each of length 1.
        k: () int64.
    """

    directions: Tensor
    k: Tensor

    @classmethod
    def fit(cls, training: Training, *, k: int) -> Self:
        """Keep the directions of the training features."""
        directions = F.normalize(finite(training.views.features, "features"), dim=1)
        kth_distance(directions[:0], directions, k=k)  # refuses a k that is too large
        return cls(directions, torch.tensor(k))

    def score(self, views: Views) -> Tensor:
        """(n,)."""
        directions = F.normalize(views.features, dim=1)
        return kth_distance(directions, self.directions, k=int(self.k))
