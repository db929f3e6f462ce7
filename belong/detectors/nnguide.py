"""Nearest neighbor guidance: the energy, guided by the training images in the same direction.

Park, Jung and Teoh, Nearest Neighbor Guidance for Out-of-Distribution Detection, ICCV 2023,
https://arxiv.org/abs/2309.14888: the energy times the mean of the k largest <f(x), E(z) f(z)>,
where f are features of length 1 and z is a training image; k = 10. The bank has all training
images, while the paper uses a sample on ImageNet.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.detectors.knn_search import padded_columns, smallest
from belong.models.activations import Views
from belong.models.matrix_product import matrix_product
from belong.runtime.errors import InputError

ROWS = 128  # images per chunk of products with the bank


@dataclass(frozen=True)
class NeighborGuidance(Detector):
    """Minus the energy times the mean of the k largest products with the bank.

    Attributes:
        bank: (n, d) float32, directions of the training images times their energy.
        k: () int64.
    """

    odd = "no training image has similar features"

    axes = "bank nd, k"
    bank: Tensor
    k: Tensor

    @classmethod
    def fit(cls, training: Training, *, k: int = 10) -> Self:
        """Store the directions of the training images times their energy."""
        x = F.normalize(finite(training.views.features, "features"), dim=1)
        if k > len(x):
            raise InputError(
                f"k: expected at most {len(x)}, the number of training images, got {k}"
            )
        return cls(x * training.views.logits.logsumexp(dim=1)[:, None], torch.tensor(k))

    @cached_property
    def _columns(self) -> Tensor:
        return padded_columns(-self.bank, self.bank.new_zeros(len(self.bank)))

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        directions = F.normalize(views.features, dim=1)
        directions = F.pad(directions, (0, 1), value=1.0)  # factor of the last row of the bank
        out = directions.new_empty(min(ROWS, len(directions)), self._columns.shape[1])
        guidance = []
        for part in directions.split(ROWS):
            products = matrix_product(part, self._columns, out=out[: len(part)])
            nearest = products.gather(1, smallest(products, int(self.k)))
            guidance.append(nearest.neg().mean(dim=1))
        energy = views.logits.logsumexp(dim=1)
        return -energy * torch.cat(guidance) if guidance else energy
