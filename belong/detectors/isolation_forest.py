"""Isolation forest: the number of random cuts that isolate a vector from a sample of others.

Liu, Ting and Zhou, Isolation Forest, ICDM 2008; paper B uses 2000 trees and the average depth.
All trees grow together, level by level, as plain arrays that are saved without pickle.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from belong.detectors.forest_traversal import Grove, depths, grove
from belong.runtime.parallel import parallel_map

MOST_LEVELS = 12  # maximum depth of a tree, for the largest sample of 4096 vectors


class Forest(NamedTuple):
    """t concatenated trees as arrays, with q nodes in total.

    Attributes:
        nodes: (t,) int64, the number of nodes of each tree.
        axis: (q,) int64, the split axis; negative in a leaf.
        cut: (q,) float64; values up to it go to `left`, larger ones to `right`.
        left, right: (q,) int64, index of the child in its tree; -1 in a leaf.
        depth: (q,) float32, the depth of a node; in a leaf, plus the expected further depth of a
            fully grown tree.
    """

    nodes: Tensor
    axis: Tensor
    cut: Tensor
    left: Tensor
    right: Tensor
    depth: Tensor


class Level(NamedTuple):
    """The m nodes of all trees at one depth: left children, then right children.

    Attributes:
        tree: (m,) int64, the tree of each node.
        axis: (m,) int64, -2 in a leaf.
        cut: (m,) float64, -2 in a leaf.
        size: (m,) int64, number of vectors in the node.
    """

    tree: np.ndarray
    axis: np.ndarray
    cut: np.ndarray
    size: np.ndarray


def fit(x: Tensor, *, trees: int, sample: int, seed: int) -> Forest:
    """Grow each tree on a random sample of the vectors (n, d), to the depth of a balanced tree."""
    vectors, random = x.float().numpy(), np.random.default_rng(seed)
    size = min(sample, len(x))
    # The vectors are sorted by node.
    rows = np.concatenate([random.choice(len(x), size, replace=False) for _ in range(trees)])
    tree, count = np.arange(trees), np.full(trees, size)
    levels = []
    for _ in range((size - 1).bit_length()):
        axis, cut = np.full(len(tree), -2), np.full(len(tree), -2.0)
        several = count > 1
        rows = rows[np.repeat(several, count)]
        axis[several], cut[several] = _cuts(vectors, rows, count[several], random)
        levels.append(Level(tree, axis, cut, count))
        inner = axis >= 0
        rows = rows[np.repeat(inner[several], count[several])]
        of_node = np.repeat(np.flatnonzero(inner), count[inner])
        goes_left = vectors[rows, axis[of_node]] <= cut[of_node]
        left = np.bincount(of_node[goes_left], minlength=len(tree))[inner]
        rows = np.concatenate([rows[goes_left], rows[~goes_left]])
        count = np.concatenate([left, count[inner] - left])
        tree = np.tile(tree[inner], 2)
    levels.append(Level(tree, np.full(len(tree), -2), np.full(len(tree), -2.0), count))
    return _forest(levels, trees)


def check(forest: Forest) -> None:
    """Refuse arrays that are not valid trees, whose traversal might not terminate.

    Raises:
        ValueError: the arrays are not valid trees.
    """
    nodes, axis, cut, left, right, depth = (column.numpy() for column in forest)
    q = len(axis)
    columns = (axis, cut, left, right, depth)
    if nodes.dtype != np.int64 or (nodes < 1).any() or nodes.sum() != q or len(nodes) > q:
        raise ValueError(
            "isolation forest: the sizes of the trees do not add up to the number of nodes"
        )
    if any(len(column) != q for column in columns) or {left.dtype, right.dtype, axis.dtype} != {
        np.dtype(np.int64)
    }:
        raise ValueError("isolation forest: expected as many children as nodes")
    start = np.repeat(np.cumsum(nodes) - nodes, nodes)
    places, size, inner = np.arange(q) - start, np.repeat(nodes, nodes), axis >= 0
    for children in (left, right):
        if not ((places < children) & (children < size))[inner].all():
            raise ValueError("isolation forest: expected each node before its children")
    level, levels = (np.cumsum(nodes) - nodes)[inner[np.cumsum(nodes) - nodes]], 0
    while len(level):
        levels += 1
        if levels > MOST_LEVELS or len(level) > q:
            raise ValueError(f"isolation forest: a tree has more than {MOST_LEVELS} levels")
        below = np.concatenate([(children + start)[level] for children in (left, right)])
        level = below[inner[below]]


def mean_depth(groves: Sequence[Grove], x: Tensor, *, chunk: int = 6144) -> Tensor:
    """Return the average depth at which the trees isolate each vector: (n, d) -> (n,).

    The threads of torch are used. The result depends neither on their number nor on the other
    vectors.

    Args:
        groves: all trees, see `groves_of`.
        x: (n, d).
        chunk: number of vectors that traverse the trees together.
    """
    total = np.zeros(len(x))

    def go_down(at: int) -> None:
        part = slice(at, at + chunk)
        columns = np.ascontiguousarray(x[part].numpy().T, dtype=np.float32)
        for trees in groves:
            depths(trees, columns, out=total[part])

    # An error in a thread is raised here.
    list(parallel_map(go_down, range(0, len(x), chunk), jobs=torch.get_num_threads()))
    return torch.from_numpy(total / sum(len(trees.depth) for trees in groves)).float()


def groves_of(forest: Forest, *, trees: int = 50) -> list[Grove]:
    """Divide the forest into parts that fit into the caches during a traversal."""
    counts = forest.nodes.split(trees)
    parts = [values.split([int(count.sum()) for count in counts]) for values in forest[1:]]
    return [
        grove(*(values.numpy() for values in part)) for part in zip(counts, *parts, strict=True)
    ]


def _cuts(
    vectors: np.ndarray, rows: np.ndarray, count: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a random axis and cut for each of m nodes; -2 if all vectors of a node are equal.

    Args:
        vectors: (n, d).
        rows: indices of the vectors, sorted by node.
        count: (m,) number of vectors of each node, at least 1.
        random: random number generator.
    """
    starts = np.cumsum(count) - count
    axis = random.integers(vectors.shape[1], size=len(count))
    low, high = _ends(vectors[rows, np.repeat(axis, count)], starts)
    # If the vectors are equal on this axis, another axis with different values is drawn.
    equal = low == high
    inside = vectors[rows[np.repeat(equal, count)]]
    lows, highs = _ends(inside, np.cumsum(count[equal]) - count[equal])
    chance = random.random(lows.shape) * (lows < highs)
    new_axis = chance.argmax(axis=1)
    each = np.arange(len(new_axis))
    axis[equal], low[equal], high[equal] = new_axis, lows[each, new_axis], highs[each, new_axis]

    cut = low + random.random(len(low)) * (high.astype(float) - low)
    cut = np.where(cut < high, cut, low)  # rounding up to `high` would leave the right side empty
    cuts = low < high
    return np.where(cuts, axis, -2), np.where(cuts, cut, -2.0)


def _ends(values: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the minimum and maximum of each node, whose values start at `starts`."""
    if not len(starts):
        return values[:0], values[:0]
    return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def _forest(levels: list[Level], trees: int) -> Forest:
    """Sort the nodes by tree, with parents before their children."""
    tree, axis, cut, count = (np.concatenate(column) for column in zip(*levels, strict=True))
    nodes = np.bincount(tree, minlength=trees)
    inner = axis >= 0
    level = np.repeat(np.arange(len(levels)), [len(each.tree) for each in levels])
    cuts = np.array([(each.axis >= 0).sum() for each in levels])
    left, right = np.full((2, len(tree)), -1)
    ends = np.cumsum([len(each.tree) for each in levels])
    # The children of a level follow it: first the left children, one for each cut, then the right.
    nth = np.arange(inner.sum()) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    left[inner] = np.repeat(ends, cuts) + nth
    right[inner] = left[inner] + np.repeat(cuts, cuts)

    order = np.argsort(tree, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(nodes) - nodes, nodes)
    for children in (left, right):
        children[inner] = place[children[inner]]
    depth = level + np.where(inner, 0, _expected_depth(count))
    columns = (axis, cut, left, right, depth.astype(np.float32))
    return Forest(torch.from_numpy(nodes), *(torch.from_numpy(column[order]) for column in columns))


def _expected_depth(n: np.ndarray) -> np.ndarray:
    """Return the mean depth of an unsuccessful search among n vectors (Liu et al., eq. 1)."""
    sure = np.maximum(n, 3)
    harmonic = np.log(sure - 1.0) + np.euler_gamma
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, 2 * harmonic - 2 * (sure - 1) / sure))
