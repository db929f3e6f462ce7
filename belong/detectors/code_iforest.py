"""Isolation forest on the codes of the autoencoder (paper B: 2000 trees, average depth)."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from belong.detectors import isolation_forest
from belong.detectors.base import Detector, Training, finite
from belong.models.activations import Views


@dataclass(frozen=True)
class CodeIsolation(Detector):
    """Minus the average depth; the attributes are those of `isolation_forest.Forest`."""

    nodes: Tensor
    axis: Tensor
    cut: Tensor
    left: Tensor
    right: Tensor
    depth: Tensor

    @classmethod
    def fit(cls, training: Training, *, trees: int, sample: int, seed: int) -> Self:
        """Grow the trees on the training codes."""
        codes = finite(training.views.codes, "codes")
        return cls(*isolation_forest.fit(codes, trees=trees, sample=sample, seed=seed))

    def score(self, views: Views) -> Tensor:
        """(n,)."""
        forest = isolation_forest.Forest(*vars(self).values())
        return -isolation_forest.mean_depth(forest, views.codes)
