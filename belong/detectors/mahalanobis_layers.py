"""Mahalanobis distance per class on an early, a middle and the last hidden layer together.

Lee et al. (2018) weigh the layers by logistic regression on anomalies. There are none here: the
scores of the layers, each in thresholds of its classes, count the same.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import torch
from torch import Tensor

from belong.detectors import mahalanobis
from belong.detectors.base import Detector, Training
from belong.models.activations import Views


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


LAYERS: tuple[type[OneLayer], ...] = (MapsMahalanobis, HiddenMahalanobis, FeaturesMahalanobis)
OF_LAYER = "means", "whitening", "thresholds"


@dataclass(frozen=True)
class LayerMahalanobis(Detector):
    """Sum of the scores of the layers.

    Attributes: means, whitening and thresholds of each layer.
    """

    maps_means: Tensor
    maps_whitening: Tensor
    maps_thresholds: Tensor
    hidden_means: Tensor
    hidden_whitening: Tensor
    hidden_thresholds: Tensor
    features_means: Tensor
    features_whitening: Tensor
    features_thresholds: Tensor

    @classmethod
    def fit(cls, training: Training, *, quantile: float, ridge: float, covariance: str) -> Self:
        """Fit one Gaussian per layer and class."""
        fitted: dict[str, Tensor] = {}
        for kind in LAYERS:
            one = kind.fit(training, quantile=quantile, ridge=ridge, covariance=covariance)
            fitted |= {f"{kind.layer}_{name}": getattr(one, name) for name in OF_LAYER}
        return cls(**fitted)

    @cached_property
    def _layers(self) -> list[OneLayer]:
        return [
            kind(*(getattr(self, f"{kind.layer}_{name}") for name in OF_LAYER)) for kind in LAYERS
        ]

    def score(self, views: Views) -> Tensor:
        """(n,)."""
        return torch.stack([one.score(views) for one in self._layers]).sum(dim=0)
