"""Simplified Hopfield energy: the product with the mean features of the predicted class.

Zhang et al., Out-of-Distribution Detection based on In-Distribution Data Patterns Memorization with
Modern Hopfield Energy, ICLR 2023, https://openreview.net/forum?id=KkazG4lgKL: the stored pattern of
a class is the mean of its correctly classified training images.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.models.activations import Views


@dataclass(frozen=True)
class HopfieldEnergy(Detector):
    """Minus the inner product with the pattern of the predicted class.

    Attributes:
        patterns: (c, d) float32; 0 for a class without a correctly classified training image.
    """

    odd = "its features are unlike those of its class"

    axes = "patterns cd"
    patterns: Tensor

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Average the features of the correctly classified images of each class."""
        x = finite(training.views.features, "features").double()
        right = training.views.logits.argmax(dim=1) == training.labels
        sums = x.new_zeros(training.views.logits.shape[1], x.shape[1])
        sums.index_add_(0, training.labels[right], x[right])
        counts = torch.bincount(training.labels[right], minlength=len(sums))
        return cls((sums / counts.clamp(min=1)[:, None]).float())

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        predicted_pattern = self.patterns[views.logits.argmax(dim=1)]
        return -(views.features * predicted_pattern).sum(dim=1)
