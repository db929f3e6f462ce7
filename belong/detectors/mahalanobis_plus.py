"""Mahalanobis++: tied and relative Mahalanobis distance on features of length 1.

Mueller and Hein, Mahalanobis++: Improving OOD Detection via Feature Normalization, ICML 2025,
https://arxiv.org/abs/2505.18032: x / |x| replaces the features x, for fitting and for scoring.
"""

from dataclasses import replace
from typing import Self

import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.detectors.base import Training, finite
from belong.detectors.mahalanobis_tied import TiedMahalanobis
from belong.detectors.relative_mahalanobis import RelativeMahalanobis
from belong.models.activations import Views


class MahalanobisPlus(TiedMahalanobis):
    """Smallest squared distance to a class mean, on directions."""

    @classmethod
    def fit(cls, training: Training, *, ridge: float) -> Self:
        """Fit in float64; `ridge` is a share of the mean variance."""
        return super().fit(_directions(training), ridge=ridge)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return super().score(_of_length_1(views))


class RelativeMahalanobisPlus(RelativeMahalanobis):
    """Difference of two squared distances, on directions."""

    @classmethod
    def fit(cls, training: Training, *, ridge: float) -> Self:
        """Fit in float64; `ridge` is a share of the mean variance."""
        return super().fit(_directions(training), ridge=ridge)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return super().score(_of_length_1(views))


def _directions(training: Training) -> Training:
    finite(training.views.features, "features")
    return replace(training, views=_of_length_1(training.views))


def _of_length_1(views: Views) -> Views:
    return replace(views, features=F.normalize(views.features, dim=1))
