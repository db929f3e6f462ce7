"""Gram matrices: the deviation of products of a layer's values from the range of their class.

Sastry and Oore, Detecting Out-of-Distribution Examples with Gram Matrices, ICML 2020,
https://arxiv.org/abs/1912.12510: for the powers 1 to 10, the row sums of (x^p)(x^p)^T to the power
1 / p. The deviation from the range of the predicted class is divided by the end of the range. The
deviation of each layer is divided by its mean on held-out images, a tenth of each class. Here a
layer is a vector, the mean of its maps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.models.activations import Views

LAYERS = ("maps", "hidden", "features")
TENTH = 0.1
SMALLEST = 1e-6  # added to an end of a range before the division


@dataclass(frozen=True)
class GramMatrices(Detector):
    """The sum over the layers of the deviations.

    Attributes:
        low, high: (c, p, e) float32, the range of each class and power, with the values of all
            layers concatenated.
        share: (layers,) float32, the mean deviation on the held-out images.
    """

    odd = "its layers are correlated as in no image of its class"

    axes = "low cpg, high cpg, share l"
    low: Tensor
    high: Tensor
    share: Tensor

    @classmethod
    def fit(cls, training: Training, *, powers: int = 10, seed: int = 0) -> Self:
        """Compute the ranges; `seed` draws the held-out images."""
        for name, layer in _layers(training.views):
            finite(layer, f"{name} layer's values")
        generator = torch.Generator().manual_seed(seed)
        held_out = torch.zeros(len(training.labels), dtype=torch.bool)
        for label in range(len(training.class_names)):
            class_rows = torch.nonzero(training.labels == label)[:, 0]
            sample = torch.randperm(len(class_rows), generator=generator)[
                : int(TENTH * len(class_rows))
            ]
            held_out[class_rows[sample]] = True
        # The range of a class without training images is [0, 0].
        of_class = [
            torch.nonzero(~held_out & (training.labels == label))[:, 0]
            for label in range(len(training.class_names))
        ]
        low, high = [], []
        for power in range(1, powers + 1):
            sums = _row_sums(training.views, power)
            low.append(torch.stack([_end(sums[class_rows], "amin") for class_rows in of_class]))
            high.append(torch.stack([_end(sums[class_rows], "amax") for class_rows in of_class]))
        one = torch.ones(len(list(_layers(training.views))))
        fitted = cls(torch.stack(low, dim=1), torch.stack(high, dim=1), one)
        if not held_out.any():
            return fitted
        left_out = fitted.deviations(training.views.rows(held_out), training.labels[held_out])
        mean = left_out.mean(dim=0)
        return cls(fitted.low, fitted.high, torch.where(mean > 0, mean, 1.0).float())

    def deviations(self, views: Views, labels: Tensor) -> Tensor:
        """Return the deviation of each layer from the ranges of classes `labels` (n,): (n, l)."""
        widths = [layer.shape[1] for _, layer in _layers(views)]
        total = torch.zeros(len(labels), len(widths), dtype=torch.float64)
        for place in range(self.low.shape[1]):
            sums = _row_sums(views, place + 1)
            low, high = self.low[labels, place], self.high[labels, place]
            below = (low - sums).relu() / (low + SMALLEST).abs()
            above = (sums - high).relu() / (high + SMALLEST).abs()
            outside = (below + above).split(widths, dim=1)
            total += torch.stack([part.double().sum(dim=1) for part in outside], dim=1)
        return total

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        deviations = self.deviations(views, views.logits.argmax(dim=1))
        return (deviations / self.share).sum(dim=1).clamp(max=3e38).float()


def _layers(views: Views) -> Iterator[tuple[str, Tensor]]:
    """Yield the available layers, (n, e) each."""
    layers = ((name, getattr(views, name)) for name in LAYERS)
    yield from ((name, layer) for name, layer in layers if layer.shape[1])


def _row_sums(views: Views, power: int) -> Tensor:
    """Return the concatenated row sums of the Gram matrices of all layers: (n, e) float32."""
    parts = []
    for _, layer in _layers(views):
        total = layer.double().pow(power).sum(dim=1, keepdim=True)
        # x times the root of the total: one root per row instead of one per value.
        root = total.sign() * total.abs().pow(1 / power)
        parts.append((layer.abs() if power % 2 == 0 else layer) * root.float())
    return torch.cat(parts, dim=1)


def _end(sums: Tensor, which: str) -> Tensor:
    """Return the minimum or maximum (`which`: "amin" or "amax") of each value: (n, e) -> (e,)."""
    end: Tensor = getattr(sums, which)(dim=0) if len(sums) else sums.new_zeros(sums.shape[1])
    return end
