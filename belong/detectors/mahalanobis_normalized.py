"""Mahalanobis distance with one covariance for all classes, on hidden vectors of length 1.

Mueller and Hein, Mahalanobis++: Improving OOD Detection via Feature Normalization, ICML 2025,
https://arxiv.org/abs/2505.18032: the norms of a backbone's embeddings vary more than in a Gaussian,
and separate images that belong from others less than the directions do. Here the detector uses the
layer before the features, which is the last layer of a frozen backbone. Many folders have fewer
images than its 1280 values, so the covariance is shrunk (Ledoit and Wolf, 2004).
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.detectors.base import Training, finite
from belong.detectors.covariance import whitenings
from belong.detectors.mahalanobis_tied import TiedMahalanobis
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class NormalizedMahalanobis(TiedMahalanobis):
    """Smallest squared distance to a class mean; (c, e) means and (e, e) whitening of `hidden`."""

    odd = "its parts are unlike those of every class"

    axes = "means ch, whitening hh"

    @classmethod
    def fit(cls, training: Training, *, ridge: float) -> Self:
        """Fit in float64; `ridge` is a share of the mean variance."""
        x = F.normalize(finite(training.views.hidden, "hidden layer's values").double(), dim=1)
        names = training.class_names
        of_class = [x[training.labels == label] for label in range(len(names))]
        means = [vectors.mean(dim=0) for vectors in of_class]
        centered = [vectors - mean for vectors, mean in zip(of_class, means, strict=True)]
        (root,) = whitenings(centered, names, covariance="tied", ridge=ridge)
        return cls(torch.stack(means).float(), root.float())

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return super().score(replace(views, features=F.normalize(views.hidden, dim=1)))

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        return super().onnx(graph, views._replace(features=graph.direction(views.hidden)))
