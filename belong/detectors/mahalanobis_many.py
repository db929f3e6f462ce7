"""Mahalanobis distance to many classes that share one covariance: each image is whitened once.

The distances equal those of `belong.detectors.mahalanobis` except for the order of summation, at
1 / c of the cost for c classes. Nothing changes with a covariance per class. The pipeline, which
has few classes, keeps the other order of summation.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from belong.detectors.mahalanobis import ClassGaussians, Mahalanobis, MahalanobisInUnits
from belong.models.matrix_product import matrix_product


@dataclass(frozen=True)
class ManyGaussians(ClassGaussians):
    """One fitted Gaussian per class, optionally with a shared covariance."""

    def distances(self, features: Tensor, *, chunk: int = 2048) -> Tensor:
        """Return the Mahalanobis distance of each image to each class: (n, d) -> (n, c)."""
        if len(self.whitening) > 1:
            return super().distances(features, chunk=chunk)
        (root,) = self.whitening
        center = self.means.mean(dim=0)
        white = matrix_product(features - center, root)
        means = matrix_product(self.means - center, root)
        # Differences instead of a product, which loses the digits of small distances.
        distances: Tensor = torch.cdist(white, means, compute_mode="donot_use_mm_for_euclid_dist")
        return distances


class MahalanobisToMany(Mahalanobis):
    """Distance to the nearest of many classes, divided by the threshold of that class."""

    @cached_property
    def gaussians(self) -> ClassGaussians:
        """One Gaussian for each class."""
        return ManyGaussians(self.means, self.whitening, self.thresholds)


class MahalanobisToManyInUnits(MahalanobisInUnits):
    """Distance to the nearest of many classes, not divided by a threshold."""

    @cached_property
    def gaussians(self) -> ClassGaussians:
        """One Gaussian for each class."""
        return ManyGaussians(self.means, self.whitening, self.thresholds)
