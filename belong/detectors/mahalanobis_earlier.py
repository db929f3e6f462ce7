"""Mahalanobis distance per class on one of the layers before the last hidden one.

Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
Attacks, NeurIPS 2018, https://arxiv.org/abs/1807.03888, section 2.2 (feature ensemble); with one
covariance per class, as in paper A.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

from torch import Tensor

from belong.detectors import mahalanobis
from belong.detectors.contract import Detector, Training
from belong.views import Views


@dataclass(frozen=True)
class OneLayer(Detector):
    """Distance to the nearest class, in thresholds of that class (see `mahalanobis`).

    Attributes: those of `mahalanobis.ClassGaussians`, on the view called `layer`.
    """

    layer: ClassVar[str]
    means: Tensor
    whitening: Tensor
    thresholds: Tensor

    @classmethod
    def fit(cls, training: Training, *, quantile: float, ridge: float, covariance: str) -> Self:
        """Fit one Gaussian per class."""
        gaussians = mahalanobis.fit(
            getattr(training.views, cls.layer),
            training.labels,
            training.class_names,
            quantile=quantile,
            ridge=ridge,
            covariance=covariance,
        )
        return cls(gaussians.means, gaussians.whitening, gaussians.thresholds)

    @cached_property
    def _gaussians(self) -> mahalanobis.ClassGaussians:
        return mahalanobis.ClassGaussians(self.means, self.whitening, self.thresholds)

    def score(self, views: Views) -> Tensor:
        """(n,)."""
        return self._gaussians.score(getattr(views, self.layer))


class MapsMahalanobis(OneLayer):
    """On the maps of the first convolution."""

    layer = "maps"


class HiddenMahalanobis(OneLayer):
    """On the layer before the last hidden one."""

    layer = "hidden"


class FeaturesMahalanobis(OneLayer):
    """On the last hidden layer, as paper A has it."""

    layer = "features"
