"""Mahalanobis distance to one Gaussian per class (paper A, section II).

Every class's features get a mean and a covariance S. The distance to the class is
D = sqrt((x - mean)^T S^-1 (x - mean)); the class's threshold theta is a percentile of the
distances of its own training images.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from belong.detectors.contract import finite
from belong.detectors.gaussian import whitening
from belong.errors import InputError


@dataclass(frozen=True)
class ClassGaussians:
    """One fitted Gaussian per class.

    Attributes:
        means: (c, d) float32.
        whitening: (c, d, d) float32, W with W W^T = S^-1, so that D = |(x - mean) W|.
        thresholds: (c,) float32, theta.
    """

    means: Tensor
    whitening: Tensor
    thresholds: Tensor

    def distances(self, features: Tensor, *, chunk: int = 8192) -> Tensor:
        """Return the Mahalanobis distance of each image to each class: (n, d) -> (n, c)."""
        distances = torch.empty(len(features), len(self.means))
        # The mean is taken off before whitening: after it, two large numbers would cancel.
        for c, (mean, root) in enumerate(zip(self.means, self.whitening, strict=True)):
            for rows in torch.arange(len(features)).split(chunk):
                white = (features[rows] - mean) @ root
                distances[rows, c] = torch.linalg.vector_norm(white, dim=1)
        return distances

    def score(self, features: Tensor) -> Tensor:
        """Return the distance to the nearest class in thresholds of that class: (n, d) -> (n,).

        min over classes of D_c / theta_c; at most 1 exactly where eq. (4) of the paper holds.
        """
        return (self.distances(features) / self.thresholds).amin(dim=1)

    def score_in_units(self, features: Tensor) -> Tensor:
        """Return min over classes of D_c, the score of the paper's ROC curves: (n, d) -> (n,)."""
        return self.distances(features).amin(dim=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was fitted, by name."""
        return {name: values.numpy() for name, values in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Build the Gaussians from what `arrays()` gave."""
        return cls(**{name: torch.from_numpy(values) for name, values in arrays.items()})


def fit(
    features: Tensor, labels: Tensor, class_names: list[str], *, quantile: float, ridge: float
) -> ClassGaussians:
    """Fit a Gaussian to the features of each class, in float64.

    Args:
        features: (n, d) of the training images.
        labels: (n,) int64, 0..c-1.
        class_names: the c names, for messages.
        quantile: of a class's own training distances that its threshold is, 0 to 1; the paper
            takes 0.975.
        ridge: added to the diagonal of S, as a share of its mean. Relative, for the center
            loss shrinks all features: an absolute ridge would swamp S. The paper names none,
            but a feature that is 0 on all images of a class leaves S without an inverse.

    Raises:
        InputError: a feature is not finite, a class has fewer than 2 images, (almost) all its
            images have equal features, or S cannot be inverted with this ridge.
    """
    finite(features, "features")
    if labels.max() >= len(class_names):
        raise InputError(f"label {int(labels.max())} in a set of {len(class_names)} classes")
    fitted = [
        _fit_class(features[labels == label].double(), name, quantile, ridge)
        for label, name in enumerate(class_names)
    ]
    means, roots, thresholds = (torch.stack(values).float() for values in zip(*fitted, strict=True))
    return ClassGaussians(means, roots, thresholds)


def _fit_class(
    x: Tensor, name: str, quantile: float, ridge: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (d,), whitening (d, d) and threshold () of one class's features (n, d)."""
    n = len(x)
    if n < 2:
        raise InputError(f"class {name} has {n} training image(s); a covariance wants at least 2")
    mean = x.mean(dim=0)
    root = whitening(x - mean, ridge=ridge, freedom=n - 1, what=f"class {name}")
    distances = torch.linalg.vector_norm((x - mean) @ root, dim=1)
    threshold = torch.quantile(distances, quantile)
    if threshold == 0:
        raise InputError(
            f"at least {quantile:.1%} of the {n} training images of class {name} have the same "
            f"features, so that its threshold is 0"
        )
    return mean, root, threshold
