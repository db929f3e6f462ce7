"""ODIN without the step along the gradient: maximum softmax probability at a high temperature.

Liang, Li and Srikant, Enhancing The Reliability of Out-of-distribution Image Detection in Neural
Networks, ICLR 2018, https://arxiv.org/abs/1706.02690, with the paper's T = 1000; the step needs
the network.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training
from belong.models.activations import Views


@dataclass(frozen=True)
class Odin(Detector):
    """Minus the logarithm of c times the largest probability at a temperature, () float64.

    The factor c keeps the values near 0, where float32 is most precise: at 1000 all probabilities
    are near 1 / c.
    """

    odd = "the classifier is undecided between classes"

    axes = "temperature"
    temperature: Tensor

    @classmethod
    def fit(cls, training: Training, *, temperature: float = 1000.0) -> Self:  # noqa: ARG003
        """Store the temperature; nothing is fitted."""
        return cls(torch.tensor(temperature, dtype=torch.float64))

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        logits = views.logits.double()
        below = (logits - logits.amax(dim=1, keepdim=True)) / self.temperature
        return below.expm1().mean(dim=1).log1p().float()
