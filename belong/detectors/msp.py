"""Maximum softmax probability.

Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples in
Neural Networks, ICLR 2017, https://arxiv.org/abs/1610.02136.
"""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from belong.detectors.base import Detector, Training
from belong.models.activations import Views


@dataclass(frozen=True)
class MaximumSoftmaxProbability(Detector):
    """Minus the logarithm of the largest class probability; nothing is fitted.

    The logarithm ranks as the probability does, and does not tie where that rounds to 1.
    """

    @classmethod
    def fit(cls, training: Training) -> Self:  # noqa: ARG003
        """Return the detector."""
        return cls()

    def score(self, views: Views) -> Tensor:
        """(n,)."""
        largest, at = views.logits.max(dim=1, keepdim=True)
        # Without the largest term, 1, next to which the others would round away.
        others = (views.logits - largest).exp().scatter(1, at, 0).sum(dim=1)
        return others.log1p()
