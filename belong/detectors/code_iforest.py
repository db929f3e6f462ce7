"""Isolation forest on the codes of the autoencoder (paper B: 2000 trees, average depth)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from torch import Tensor

from belong.detectors import isolation_forest
from belong.detectors.base import Detector, Training, finite
from belong.detectors.forest_traversal import Grove
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class CodeIsolation(Detector):
    """Minus the average depth; the attributes are those of `isolation_forest.Forest`."""

    is_row_by_row = True
    odd = "its autoencoder code is isolated from those of training images"
    needs_autoencoder = True

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

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Build the detector from the result of `arrays()`.

        Raises:
            ValueError: the arrays are not valid trees.
        """
        forest = super().from_arrays(arrays)
        isolation_forest.check(isolation_forest.Forest(*vars(forest).values()))
        return forest

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return -isolation_forest.mean_depth(self._groves, views.codes)

    @cached_property
    def _groves(self) -> list[Grove]:
        columns = (getattr(self, name) for name in isolation_forest.Forest._fields)
        return isolation_forest.groves_of(isolation_forest.Forest(*columns))

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,); all trees are traversed at once, level by level."""
        constants = self.arrays()
        starts = np.cumsum(constants["nodes"]) - constants["nodes"]
        offset = np.repeat(starts, constants["nodes"])  # first node of the tree of each node
        is_leaf, here = constants["left"] < 0, np.arange(len(offset))
        left = np.where(is_leaf, here, constants["left"] + offset)  # a leaf is its own child
        right = np.where(is_leaf, here, constants["right"] + offset)
        axis = np.where(is_leaf, 0, constants["axis"])
        codes = graph.cast(views.codes, np.float64)
        n = graph("Shape", views.codes, start=0, end=1)
        node = graph("Expand", starts[None], graph("Concat", n, np.array([1]), axis=0))
        level = starts
        while not is_leaf[level].all():
            value = graph("GatherElements", codes, graph("Gather", axis, node), axis=1)
            goes_left = graph("LessOrEqual", value, graph("Gather", constants["cut"], node))
            children = (graph("Gather", side, node) for side in (left, right))
            node = graph("Where", goes_left, *children)
            level = np.unique(np.concatenate((left[level], right[level])))
        depths = graph("Gather", constants["depth"].astype(np.float64), node)
        return graph("Neg", graph.cast(graph.reduced("Mean", depths, 1), np.float32))
