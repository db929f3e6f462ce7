"""Likelihood of a mixture of one Gaussian for each class.

Mukhoti et al., Deep Deterministic Uncertainty: A New Simple Baseline, CVPR 2023,
https://arxiv.org/abs/2102.11582: the density of the features, with the mean, the covariance and the
share of the training images of each class.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.detectors.covariance import inverse_root
from belong.models.activations import Views
from belong.models.matrix_product import matrix_product
from belong.runtime.errors import InputError


@dataclass(frozen=True)
class GaussianMixture(Detector):
    """Minus the log likelihood, up to a constant.

    Attributes:
        means: (c, d) float32.
        whitening: (c, d, d) float32, W with W W^T = S^-1 of each class.
        log_weight: (c,) float32, log of a class's share minus half the log determinant of S.
    """

    odd = "its features are far from those of every class"

    axes = "means cd, whitening cdd, log_weight c"
    means: Tensor
    whitening: Tensor
    log_weight: Tensor

    @classmethod
    def fit(cls, training: Training, *, ridge: float = 1e-6) -> Self:
        """Fit in float64; `ridge` is a share of the mean variance."""
        x = finite(training.views.features, "features").double()
        means, roots, weights = [], [], []
        for label, name in enumerate(training.class_names):
            class_rows = x[training.labels == label]
            if len(class_rows) <= x.shape[1]:
                raise InputError(
                    f"class {name} has {len(class_rows)} rows; its covariance needs more than the "
                    f"{x.shape[1]} features"
                )
            mean = class_rows.mean(dim=0)
            centered = class_rows - mean
            covariance = centered.T @ centered / len(class_rows)
            root = inverse_root(covariance, len(class_rows), ridge=ridge, subject=f"class {name}")
            means.append(mean)
            roots.append(root)
            half_log_determinant = root.diagonal().log().sum()  # of S^-1, as W is triangular
            weights.append(
                torch.tensor(len(class_rows) / len(x)).double().log() + half_log_determinant
            )
        return cls(*(torch.stack(part).float() for part in (means, roots, weights)))

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        logs = [
            weight - matrix_product(views.features - mean, root).double().square().sum(dim=1) / 2
            for mean, root, weight in zip(
                self.means, self.whitening, self.log_weight.double(), strict=True
            )
        ]
        return -torch.stack(logs, dim=1).logsumexp(dim=1).float()
