"""OpenMax: the probability of an unknown class, by the distances to the mean logits of each class.

Bendale and Boult, Towards Open Set Deep Networks, CVPR 2016, https://arxiv.org/abs/1511.06233,
algorithms 1 and 2, with the paper's tail of 20 images and its 10 revised classes. As in
pytorch-ood, the distance is Euclidean, and all training images of a class are used.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.models.activations import Views
from belong.runtime.errors import InputError

SHIFT = 10_000.0  # shift of the tails, as in the authors' library


@dataclass(frozen=True)
class OpenMax(Detector):
    """The log odds of the unknown class; same ranking as its probability, without ties at 0 or 1.

    Attributes:
        means: (c, c) float32, of the logits of each class.
        start: (c,) float64, the smallest distance of the tail.
        shape, scale: (c,) float64, of the Weibull distribution of distances + `SHIFT` - start.
        revised: () int64, the number of largest logits that are revised.
    """

    odd = "its logits are unlike those of every class"

    axes = "means cc, start c, shape c, scale c, revised"
    means: Tensor
    start: Tensor
    shape: Tensor
    scale: Tensor
    revised: Tensor

    @classmethod
    def fit(cls, training: Training, *, tail: int = 20, revised: int = 10) -> Self:
        """Fit a Weibull law to the `tail` largest distances of each class from its mean."""
        logits = finite(training.views.logits, "logits").double()
        means, laws = [], []
        for label, name in enumerate(training.class_names):
            class_logits = logits[training.labels == label]
            if len(class_logits) < 2:
                raise InputError(
                    f"class {name} has {len(class_logits)} rows; a tail needs at least 2"
                )
            means.append(class_logits.mean(dim=0))
            distances = torch.linalg.vector_norm(class_logits - means[-1], dim=1)
            largest = distances.sort().values[-tail:]
            laws.append((float(largest[0]), *_weibull((largest - largest[0] + SHIFT).numpy())))
        start, shape, scale = torch.tensor(laws, dtype=torch.float64).T
        count = torch.tensor(min(revised, logits.shape[1]))
        return cls(torch.stack(means).float(), start, shape, scale, count)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        logits = views.logits.double()
        top = logits.topk(int(self.revised), dim=1)
        means = self.means.double()
        # Class by class, as all classes together would take c times the memory of the logits.
        away = [
            torch.linalg.vector_norm(logits - means[classes], dim=1) for classes in top.indices.T
        ]
        distances = torch.stack(away, dim=1)
        shape, scale = self.shape[top.indices], self.scale[top.indices]
        beyond = (distances - self.start[top.indices] + SHIFT).clamp(min=0)
        odd = -(-(beyond / scale).pow(shape)).expm1()  # Weibull's distribution function
        weight = odd * torch.arange(len(top.values[0]), 0, -1) / int(self.revised)
        known = logits.scatter(1, top.indices, top.values * (1 - weight))
        unknown = (top.values * weight).sum(dim=1)
        log_odds: Tensor = unknown - known.logsumexp(dim=1)
        return log_odds.float()


def _weibull(x: np.ndarray) -> tuple[float, float]:
    """Return the maximum-likelihood shape and scale of x (k,), all above 0."""
    logs = np.log(x)
    if np.ptp(logs) == 0:
        raise InputError("the largest distances of a class from its mean are all the same")

    def slope(shape: float) -> float:
        weights = np.exp(shape * (logs - logs.max()))
        return float(weights @ logs / weights.sum() - 1 / shape - logs.mean())

    # The derivative increases from minus infinity; with a spread s its root is near 1 / s.
    high = 1 / np.ptp(logs)
    while slope(high) < 0:
        high *= 2
    shape = brentq(slope, high / 1e6, high, rtol=1e-10)
    return shape, float(np.exp(logs.max()) * np.mean((x / x.max()) ** shape) ** (1 / shape))
