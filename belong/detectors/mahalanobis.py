"""Mahalanobis distance to one Gaussian per class (paper A, section II).

The features of each class have a mean and a covariance S. The distance to the class is
D = sqrt((x - mean)^T S^-1 (x - mean)). The threshold theta of the class is a percentile of the
distances of its training images. The score is the minimum of D / theta over all classes.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from belong.detectors.base import Detector, FittedTensors, Training, finite
from belong.detectors.covariance import choose, whitenings
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views
from belong.models.matrix_product import matrix_product
from belong.runtime.errors import InputError

MANY_FEATURES = 512
EDGE = 8  # columns at each end of a product whose last bits differ


@dataclass(frozen=True)
class ClassGaussians(FittedTensors):
    """One fitted Gaussian per class.

    Attributes:
        means: (c, d) float32.
        whitening: (c, d, k) float32, W with W W^T = S^-1, so that D = |(x - mean) W|; k = d except
            for principal components. (1, d, k) if all classes share one.
        thresholds: (c,) float32, theta.
    """

    axes = "means cd, whitening 1dk, thresholds c"

    means: Tensor
    whitening: Tensor
    thresholds: Tensor

    @cached_property
    def _roots(self) -> list[list[Tensor]]:
        return [_blocks(root) for root in self.whitening]

    def distances(self, features: Tensor, *, chunk: int = 2048) -> Tensor:
        """Return the Mahalanobis distance of each image to each class: (n, d) -> (n, c)."""
        distances = torch.empty(len(features), len(self.means))
        roots = self._roots * (len(self.means) // len(self._roots))
        most = min(chunk, len(features))
        centered = features.new_zeros(most + 2 * EDGE, features.shape[1])
        white = features.new_empty(self.whitening.shape[2], most + 2 * EDGE)
        # A loop over the classes for each chunk, which stays in the processor's cache.
        for rows, part in zip(distances.split(chunk), features.split(chunk), strict=True):
            n = len(part)
            for c, (mean, root) in enumerate(zip(self.means, roots, strict=True)):
                # The mean is subtracted before whitening, as large numbers would cancel after it.
                torch.sub(part, mean, out=centered[EDGE : EDGE + n])
                _whiten(centered, root, out=white)
                rows[:, c] = torch.linalg.vector_norm(white[:, EDGE : EDGE + n], dim=0)
        return distances

    def score(self, features: Tensor) -> Tensor:
        """Return the distance to the nearest class, in units of its threshold: (n, d) -> (n,).

        min over classes of D_c / theta_c; at most 1 exactly where eq. (4) of the paper holds.
        """
        return (self.distances(features) / self.thresholds).amin(dim=1)

    def score_in_units(self, features: Tensor) -> Tensor:
        """Return min over classes of D_c, the score of the paper's ROC curves: (n, d) -> (n,)."""
        return self.distances(features).amin(dim=1)

    def onnx_distances(self, graph: Graph, features: str) -> str:
        """Add `distances` to a graph: (n, d) -> (c, n)."""
        constants = self.arrays()
        off = graph("Sub", graph("Unsqueeze", features, np.array([0])), constants["means"][:, None])
        return graph.length(graph("MatMul", off, constants["whitening"]), axis=2)


def fit(
    features: Tensor,
    labels: Tensor,
    class_names: list[str],
    *,
    quantile: float,
    ridge: float,
    covariance: str,
) -> ClassGaussians:
    """Fit a Gaussian to the features of each class, in float64.

    Args:
        features: (n, d) of the training images.
        labels: (n,) int64, 0..c-1.
        class_names: the c names, for messages.
        quantile: quantile of a class's training distances that is its threshold, 0 to 1; 0.975 in
            the paper.
        ridge: see `covariance.inverse_root`. The paper has none, but S is singular if a feature is
            0 on all images of a class.
        covariance: the kind of S, see `covariance.choose`.

    Raises:
        InputError: a feature is not finite, a class has fewer than 2 images, (almost) all its
            images have equal features, or S cannot be inverted with this ridge.
    """
    finite(features, "features")
    if labels.max() >= len(class_names):
        raise InputError(f"label {int(labels.max())} in a set of {len(class_names)} classes")
    means, centered = [], []
    for label, name in enumerate(class_names):
        x = features[labels == label].double()
        if len(x) < 2:
            raise InputError(
                f"class {name} has {len(x)} training image(s); expected at least 2 for a covariance"
            )
        means.append(x.mean(dim=0))
        centered.append(x - means[-1])
    kind, _ = choose(covariance, min(map(len, centered)), features.shape[1])
    roots = whitenings(centered, class_names, covariance=kind, ridge=ridge)
    of_each = roots * (len(means) // len(roots))  # all classes may share one root
    thresholds = [
        _threshold(x @ root, name, quantile)
        for x, root, name in zip(centered, of_each, class_names, strict=True)
    ]
    fitted = (torch.stack(values).float() for values in (means, roots, thresholds))
    return ClassGaussians(*fitted)


@dataclass(frozen=True)
class OneLayer(Detector):
    """Distance to the nearest class on one layer, in thresholds of that class.

    Attributes:
        layer: the view that the Gaussians are fitted to.
        means, whitening, thresholds: those of `ClassGaussians`.
    """

    axes = ClassGaussians.axes
    layer: ClassVar[str]
    means: Tensor
    whitening: Tensor
    thresholds: Tensor

    @cached_property
    def gaussians(self) -> ClassGaussians:
        """One Gaussian for each class."""
        return ClassGaussians(self.means, self.whitening, self.thresholds)

    @classmethod
    def fit(cls, training: Training, *, quantile: float, ridge: float, covariance: str) -> Self:
        """Fit one Gaussian per class; the keywords are those of the function `fit`."""
        layer, names = getattr(training.views, cls.layer), training.class_names
        fitted = fit(
            layer, training.labels, names, quantile=quantile, ridge=ridge, covariance=covariance
        )
        return cls(fitted.means, fitted.whitening, fitted.thresholds)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return self.gaussians.score(getattr(views, self.layer))

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        distances = self.gaussians.onnx_distances(graph, getattr(views, self.layer))
        thresholds = self.gaussians.thresholds.numpy()
        return graph.reduced("Min", graph("Div", distances, thresholds[:, None]), 0)


class Mahalanobis(OneLayer):
    """On the last hidden layer; in paper A, an image with a score of at most 1 belongs."""

    odd = "its features are far from those of every class"
    threshold = 1.0
    file = "gaussians"
    layer = "features"


class MahalanobisInUnits(OneLayer):
    """Distance to the nearest class, not divided by a threshold, as in the paper's ROC curves."""

    odd = Mahalanobis.odd
    file = "gaussians"
    layer = "features"

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return self.gaussians.score_in_units(getattr(views, self.layer))

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        distances = self.gaussians.onnx_distances(graph, getattr(views, self.layer))
        return graph.reduced("Min", distances, 0)


def _blocks(root: Tensor) -> list[Tensor]:
    """Divide W (d, k) into parts of its columns, without the rows that are 0 in a part.

    W is triangular if it comes from a Cholesky factor. This saves a quarter of the work with 2
    parts, and three eighths with 4. A narrow W gains nothing from 4 parts.
    """
    k = root.shape[1]
    parts = 2 if k < MANY_FEATURES else 4
    edges = [k * part // parts for part in range(parts + 1)]
    blocks = list(pairwise(edges))
    if any(root[end:, start:end].any() for start, end in blocks):
        return [root]
    return [root[:end, start:end].contiguous() for start, end in blocks]


def _whiten(x: Tensor, blocks: list[Tensor], *, out: Tensor) -> None:
    """Write x W, transposed, to `out`: (n, d) -> (k, n).

    OpenBLAS sums the rows of a product in groups of six, and every other group in another order, so
    the last bits of an image would depend on its position. It treats all columns in the same way,
    except `EDGE` at each end.
    """
    at = 0
    for block in blocks:
        rows, columns = block.shape
        matrix_product(block.T, x[:, :rows].T, out=out[at : at + columns])
        at += columns


def _threshold(white: Tensor, name: str, quantile: float) -> Tensor:
    """Return the quantile of the norms of a class's whitened features (n, k): ()."""
    threshold = torch.quantile(torch.linalg.vector_norm(white, dim=1), quantile)
    if threshold == 0:
        raise InputError(
            f"at least {quantile:.1%} of the {len(white)} training images of class {name} have "
            f"the same features, so that its threshold is 0"
        )
    return threshold
