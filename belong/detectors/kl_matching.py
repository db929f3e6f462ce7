"""KL matching: the divergence from the nearest typical class probabilities.

Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World Settings, ICML 2022,
https://arxiv.org/abs/1911.11132: the smallest KL(p(x), d) over the mean probabilities d of
each class.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.models.activations import Views


@dataclass(frozen=True)
class KlMatching(Detector):
    """The smallest divergence of an image's probabilities from those of a class.

    Attributes:
        log_typical: (k, c) float64, log mean probabilities of the training images predicted as
            each of the k classes that occur as predictions.
    """

    odd = "the probabilities of its classes are unlike those of every class"

    axes = "log_typical kc"
    may_be_infinite = ("log_typical",)
    log_typical: Tensor

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Average the probabilities of the training images of each predicted class."""
        logits = finite(training.views.logits, "logits").double()
        predicted = logits.argmax(dim=1)
        logs = [
            logits[predicted == label].softmax(dim=1).mean(dim=0).log()
            for label in predicted.unique()
        ]
        return cls(torch.stack(logs))

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        log_p = views.logits.double().log_softmax(dim=1)
        p = log_p.exp()
        entropy = (p * log_p.clamp(min=-1e300)).sum(dim=1)
        divergences = entropy[:, None] - p @ self.log_typical.clamp(min=-1e300).T
        return divergences.amin(dim=1).float()
