"""Mahalanobis distance per class on an early and a middle layer, and on three layers together.

Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
Attacks, NeurIPS 2018, https://arxiv.org/abs/1807.03888, section 2.2. The paper weights the layers
by logistic regression on anomalies. Without anomalies, the scores of the layers, each divided by
the threshold of its class, have equal weights here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from belong.detectors.base import Detector, Training
from belong.detectors.mahalanobis import Mahalanobis, OneLayer
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


class MapsMahalanobis(OneLayer):
    """On the maps of the first convolution."""

    odd = "its edges and textures are unlike those of every class"
    axes = "means cm, whitening 1mk, thresholds c"
    layer = "maps"


class HiddenMahalanobis(OneLayer):
    """On the layer before the last hidden one."""

    odd = "its parts are unlike those of every class"
    axes = "means ch, whitening 1hk, thresholds c"
    layer = "hidden"


@dataclass(frozen=True)
class LayerMahalanobis(Detector):
    """Sum of the scores on the maps, the layer before the last hidden one, and the features.

    Attributes:
        layers: the detector of each layer; its arrays are prefixed, such as `maps_means`.
    """

    odd = "its layers are unlike those of every class"
    kinds: ClassVar[tuple[type[OneLayer], ...]] = (MapsMahalanobis, HiddenMahalanobis, Mahalanobis)
    axes = ", ".join(
        f"{layer}_means c{d}, {layer}_whitening 1{d}{d.upper()}, {layer}_thresholds c"
        for layer, d in (("maps", "m"), ("hidden", "h"), ("features", "d"))
    )
    layers: tuple[OneLayer, ...]

    @classmethod
    def fit(cls, training: Training, *, quantile: float, ridge: float, covariance: str) -> Self:
        """Fit one Gaussian per layer and class."""
        layers = (
            kind.fit(training, quantile=quantile, ridge=ridge, covariance=covariance)
            for kind in cls.kinds
        )
        return cls(tuple(layers))

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return torch.stack([one.score(views) for one in self.layers]).sum(dim=0)

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        return graph("Sum", *(one.onnx(graph, views) for one in self.layers))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of all layers."""
        return {
            f"{one.layer}_{name}": array
            for one in self.layers
            for name, array in one.arrays().items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Build the detector from the result of `arrays()`."""

        def of(layer: str) -> dict[str, np.ndarray]:
            start = f"{layer}_"
            layer_arrays = arrays.items()
            return {
                name.removeprefix(start): x for name, x in layer_arrays if name.startswith(start)
            }

        return cls(tuple(kind.from_arrays(of(kind.layer)) for kind in cls.kinds))
