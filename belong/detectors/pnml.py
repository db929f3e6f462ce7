"""Regret of a last layer that may learn the label of the image.

Bibas, Feder and Hassner, Single Layer Predictive Normalized Maximum Likelihood for
Out-of-Distribution Detection, NeurIPS 2021, https://arxiv.org/abs/2110.09246: the logarithm of the
sum of p / (p + (1 - p) p^(r / (1 + r))), r = x^T (X^T X)^+ x, on features of length 1.
"""

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.models.activations import Views

SMALLEST = 1e-12  # minimum probability


@dataclass(frozen=True)
class LearningRegret(Detector):
    """The regret, as a share of the logarithm of the number of classes.

    Attributes:
        inverse: (d, d) float64, pseudoinverse of the second moments of the training features.
        weight: (c, d) and
        bias: (c,) of the last layer.
    """

    odd = "its features point in an unusual direction"

    axes = "inverse dd, weight cd, bias c"
    inverse: Tensor
    weight: Tensor
    bias: Tensor

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Invert the second moments of the training features."""
        x = F.normalize(finite(training.views.features, "features").double(), dim=1)
        return cls(torch.linalg.pinv(x.T @ x, hermitian=True), training.weight, training.bias)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        x = F.normalize(views.features.double(), dim=1)
        reach = ((x @ self.inverse) * x).sum(dim=1, keepdim=True)
        p = (x @ self.weight.double().T + self.bias).softmax(dim=1).clamp(SMALLEST, 1 - SMALLEST)
        terms = p / (p + (1 - p) * p.pow(reach / (1 + reach)))
        regret = terms.sum(dim=1).log()
        return (regret / torch.tensor(float(len(self.bias))).log()).float()
