"""Mahalanobis distance with one covariance for all classes.

Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
Attacks, NeurIPS 2018, https://arxiv.org/abs/1807.03888, eq. (1) and (2), on the last hidden layer.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.detectors.covariance import inverse_root
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class TiedMahalanobis(Detector):
    """Smallest squared distance to a class mean.

    Attributes:
        means: (c, d) float32.
        whitening: (d, d) float32, W with W W^T = S^-1 of the tied covariance S.
    """

    odd = "its features are far from those of every class"

    axes = "means cd, whitening dd"
    means: Tensor
    whitening: Tensor

    @classmethod
    def fit(cls, training: Training, *, ridge: float) -> Self:
        """Fit in float64; `ridge` is a share of the mean variance."""
        x = finite(training.views.features, "features").double()
        classes = range(len(training.class_names))
        means = torch.stack([x[training.labels == label].mean(dim=0) for label in classes])
        centered = x - means[training.labels]
        root = inverse_root(
            centered.T @ centered / len(x), len(x), ridge=ridge, subject="all classes"
        )
        return cls(means.float(), root.float())

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        center = self.means.mean(dim=0)
        white = (views.features - center) @ self.whitening
        means = (self.means - center) @ self.whitening
        # Differences instead of a product, which loses the digits of small distances.
        distances = torch.cdist(white, means, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.square().amin(dim=1)

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        constants = self.arrays()
        center = constants["means"].mean(axis=0)
        means = (constants["means"] - center) @ constants["whitening"]
        white = graph("MatMul", graph("Sub", views.features, center), constants["whitening"])
        off = graph("Sub", graph("Unsqueeze", white, np.array([1])), means)
        return graph.reduced("Min", graph.reduced("SumSquare", off, 2), 1)
