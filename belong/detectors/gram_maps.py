"""Gram matrices of an early layer: the deviation of its products from the range of a class.

Sastry and Oore, Detecting Out-of-Distribution Examples with Gram Matrices, ICML 2020,
https://arxiv.org/abs/1912.12510, on the first maps only: the deviation of the row sums of
(x^p)(x^p)^T, to the power 1 / p, from their ranges in the predicted class, summed over powers and
values. A row sum is |x_i| times the p-norm of x (with its sign), so it detects images in which all
values are too weak or too strong, such as blurred images, which a Gaussian places near the mean of
their class.

The paper divides by the end of the range plus 1e-6. Here the divisor is at least a hundredth of the
mean end of its class and power, so that the unit of the values does not matter. The score is
log(1 + deviation), which has the same ranking and a shorter tail.
"""

from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Self

import numpy as np
import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views

LEAST_END = 0.01  # minimum divisor, as a share of the mean end
TINY = 1e-30
CHUNK = 64  # images per chunk; its row sums stay in the processor's cache


@dataclass(frozen=True)
class MapsGram(Detector):
    """log(1 + deviation).

    Attributes:
        low, high: (c, p, m) float32, the range of the row sums of each class and power.
    """

    odd = "its edges are weaker or stronger together than in every image of its class"

    axes = "low cpm, high cpm"
    low: Tensor
    high: Tensor

    @classmethod
    def fit(cls, training: Training, *, powers: int) -> Self:
        """Compute the ranges of the powers 1 to `powers`; a class without images has range 0."""
        maps = finite(training.views.maps, "maps layer's values")
        low = torch.zeros(len(training.class_names), powers, maps.shape[1])
        high = torch.zeros_like(low)
        for label in range(len(low)):
            class_maps = maps[training.labels == label]
            ends = [_row_sums(chunk, powers).aminmax(dim=1) for chunk in class_maps.split(CHUNK)]
            if len(class_maps):
                low[label] = torch.stack([one.min for one in ends]).amin(dim=0)
                high[label] = torch.stack([one.max for one in ends]).amax(dim=0)
        return cls(low, high)

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        predicted = views.logits.argmax(dim=1)
        chunks = zip(views.maps.split(CHUNK), predicted.split(CHUNK), strict=True)
        return torch.cat([self._deviation(*chunk) for chunk in chunks]).log1p()

    def _deviation(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Return the deviation of images (n, m) from the ranges of classes `labels` (n,): (n,)."""
        low, high, per_low, per_high = (ends[:, labels] for ends in self._by_power)
        sums = _row_sums(maps, len(low))
        below = low.sub_(sums).relu_().mul_(per_low)
        above = sums.sub_(high).relu_().mul_(per_high)
        # A loop over the powers, as the last bits of `sum` depend on the number of images.
        deviation: Tensor = reduce(torch.add, below.add_(above).sum(dim=2))
        return deviation

    @cached_property
    def _by_power(self) -> tuple[Tensor, ...]:
        """The lower and the upper ends, and the reciprocals of both: (p, c, m) each."""
        ends = self.low, self.high, self._per_low, self._per_high
        return tuple(x.transpose(0, 1).contiguous() for x in ends)

    @cached_property
    def _per_low(self) -> Tensor:
        """1 / lower ends: (c, p, m)."""
        return self._per_end(self.low)

    @cached_property
    def _per_high(self) -> Tensor:
        """1 / upper ends: (c, p, m)."""
        return self._per_end(self.high)

    def _per_end(self, ends: Tensor) -> Tensor:
        least = LEAST_END * self.high.abs().mean(dim=2, keepdim=True)
        # A layer that is 0 on all images of a class has no scale.
        return ends.abs().clamp_min(least.clamp_min(TINY)).reciprocal()

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        predicted = graph("ArgMax", views.logits, axis=1, keepdims=0)
        size = graph("Abs", views.maps)
        wide = graph.cast(views.maps, np.float64)
        power, parts = wide, []
        for p in range(1, self.low.shape[1] + 1):
            total = graph("ReduceSum", power, np.array([1]))
            root = graph("Pow", graph("Abs", total), np.float64(1 / p))
            root = graph.cast(graph("Mul", root, graph("Sign", total)), np.float32)
            sums = graph("Mul", size if p % 2 == 0 else views.maps, root)
            low, high, per_low, per_high = (
                graph("Gather", ends[:, p - 1].numpy(), predicted)
                for ends in (self.low, self.high, self._per_low, self._per_high)
            )
            below = graph("Mul", graph("Relu", graph("Sub", low, sums)), per_low)
            above = graph("Mul", graph("Relu", graph("Sub", sums, high)), per_high)
            parts.append(graph.reduced("Sum", graph("Add", below, above), 1))
            power = graph("Mul", power, wide)
        return graph("Log", graph("Add", graph("Sum", *parts), np.float32(1)))


def _row_sums(x: Tensor, powers: int) -> Tensor:
    """Return the row sums of (x^p)(x^p)^T to the power 1 / p, for p from 1: (n, m) -> (p, n, m)."""
    wide = x.double()
    power = torch.ones_like(wide)
    roots = []
    for p in range(1, powers + 1):
        power *= wide
        # Powers by NumPy, as torch's square root differs between processors.
        total = power.sum(dim=1, keepdim=True).numpy()
        with np.errstate(invalid="ignore"):  # as in torch, non-finite values stay non-finite
            root = np.sign(total) * np.abs(total) ** (1 / p)
        roots.append(torch.from_numpy(root).float())
    sums = x * torch.stack(roots)
    sums[1::2].abs_()  # even powers are not negative
    return sums
