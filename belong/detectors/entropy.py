"""Entropy of the class probabilities.

Chan, Rottmann and Gottschalk, Entropy Maximization and Meta Classification for Out-of-Distribution
Detection in Semantic Segmentation, ICCV 2021, https://arxiv.org/abs/2012.06575.
"""

from dataclasses import dataclass

from torch import Tensor

from belong.detectors.base import Unfitted
from belong.models.activations import Views


@dataclass(frozen=True)
class Entropy(Unfitted):
    """The sum of -p log p; nothing is fitted."""

    odd = "the classifier is undecided between classes"

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        log_p = views.logits.double().log_softmax(dim=1)
        return -(log_p.exp() * log_p).sum(dim=1).float()
