"""Neural collapse inspired: the proximity of centered features to the weights of their class.

Liu and Qin, Detecting Out-of-Distribution through the Lens of Neural Collapse, CVPR 2025,
https://arxiv.org/abs/2311.01479: the projection on the predicted class's weights, plus
alpha times the L1 norm of the features. alpha is 0.0001, the default of the authors' code, who
choose it for each network on validation data.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.models.activations import Views


@dataclass(frozen=True)
class NeuralCollapse(Detector):
    """Minus the sum of the projection and alpha times the norm.

    Attributes:
        mean: (d,) of the training features.
        weight: (c, d) of the last layer.
        alpha: () float32.
    """

    odd = "its features do not point to a class"

    axes = "mean d, weight cd, alpha"
    mean: Tensor
    weight: Tensor
    alpha: Tensor

    @classmethod
    def fit(cls, training: Training, *, alpha: float = 0.0001) -> Self:
        """Average the features."""
        mean = finite(training.views.features, "features").double().mean(dim=0).float()
        return cls(mean, training.weight, torch.tensor(alpha))

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        centered = views.features - self.mean
        predicted_weight = self.weight[views.logits.argmax(dim=1)]
        length: Tensor = torch.linalg.vector_norm(centered, dim=1).clamp(min=1e-12)
        projection = (centered * predicted_weight).sum(dim=1) / length
        return -projection - self.alpha * views.features.abs().sum(dim=1)
