"""Maximum softmax probability at the temperature that fits the labels best.

Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017,
https://arxiv.org/abs/1706.04599, section 4.2.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from scipy.optimize import minimize_scalar
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.detectors.msp import MaximumSoftmaxProbability
from belong.models.activations import Views

REACH = 7.0  # the logarithm of the temperature lies between -7 and 7


@dataclass(frozen=True)
class TemperatureScaling(Detector):
    """`msp` of the logits divided by a temperature, () float32."""

    odd = "the classifier is undecided between classes"

    axes = "temperature"
    temperature: Tensor

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Find the temperature with the smallest negative log likelihood of the labels."""
        logits = finite(training.views.logits, "logits")
        return cls(torch.tensor(best_temperature(logits, training.labels)))

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        scaled = replace(views, logits=views.logits / self.temperature)
        return MaximumSoftmaxProbability().score(scaled)


def best_temperature(logits: Tensor, labels: Tensor, *, spread: float = math.inf) -> float:
    """Return the temperature with the largest likelihood of labels (n,), from logits (n, c).

    A finite `spread` is the standard deviation of a normal prior of the logarithm of the
    temperature, with mean 0. Without it, if all of a few images are classified correctly, the
    temperature would become 0 and every probability 1.
    """

    def loss(log_temperature: float) -> float:
        fit = float(F.cross_entropy(logits.double() / math.exp(log_temperature), labels))
        return fit + (log_temperature / spread) ** 2 / (2 * len(labels))

    best = minimize_scalar(loss, bounds=(-REACH, REACH), method="bounded")
    return math.exp(best.x)
