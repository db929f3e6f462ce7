"""Compute the depths of vectors in many trees at once, with paths as bit masks.

In a usual traversal, each comparison depends on the one before. Here thousands of vectors are
compared with every cut of 50 trees, one bit each, and the paths follow from `and`, `or` and `xor`
of whole rows of bits. This takes more comparisons, about 50 instead of 7 in trees of 256 vectors,
but is faster, as the comparisons are independent. Lucchese et al., QuickScorer, SIGIR 2015, uses
bits for leaves instead.

`take` is used instead of indexing, as it releases the interpreter lock.
"""

from typing import NamedTuple

import numpy as np


class Turn(NamedTuple):
    """The m inner nodes of one level of a grove; first the first node of each tree, and so on.

    Attributes:
        source: (m,) int64, index among the children of the level above, left children first.
        cut: (m,) int64, index among the grove's cuts.
        trees: the trees with inner nodes on this level, by descending number of nodes.
        widths: number of trees with at least one inner node, two, and so on; the sum is m.
    """

    source: np.ndarray
    cut: np.ndarray
    trees: np.ndarray
    widths: list[int]


class Grove(NamedTuple):
    """A group of trees, laid out for joint traversal.

    Attributes:
        cuts: (q, 1) float32, sorted by axis.
        axes: axis and its slice of `cuts`.
        turns: the levels, starting at the roots.
        depth: (t, 2 ** levels) float32, by path; bit l of the index is 1 for a right turn at level
            l.
    """

    cuts: np.ndarray
    axes: list[tuple[int, slice]]
    turns: list[Turn]
    depth: np.ndarray


def grove(
    nodes: np.ndarray,
    axis: np.ndarray,
    cut: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    depth: np.ndarray,
) -> Grove:
    """Lay out trees from the arrays of `isolation_forest.Forest`."""
    roots = np.cumsum(nodes) - nodes
    tree = np.repeat(np.arange(len(nodes)), nodes)
    left, right = left + roots[tree], right + roots[tree]
    inner = np.flatnonzero(axis >= 0)
    by_axis = inner[np.argsort(axis[inner], kind="stable")]
    place = np.full(len(axis), -1)
    place[by_axis] = np.arange(len(by_axis))
    axes, starts, counts = np.unique(axis[by_axis], return_index=True, return_counts=True)
    slices = map(slice, starts.tolist(), (starts + counts).tolist())

    turns, level, paths = [], roots, roots[:, None]
    while (axis[level] >= 0).any():
        source, widths = _in_turn(tree[level], axis[level] >= 0, len(nodes))
        level = level[source]
        turns.append(Turn(source, place[level], tree[level[: widths[0]]], widths))
        level = np.concatenate([left[level], right[level]])
        ended = axis[paths] < 0
        paths = np.hstack([np.where(ended, paths, children[paths]) for children in (left, right)])
    cuts = _rounded_down(cut[by_axis])[:, None]
    return Grove(cuts, list(zip(axes.tolist(), slices, strict=True)), turns, depth[paths])


def depths(trees: Grove, columns: np.ndarray, *, out: np.ndarray) -> None:
    """Add to `out` (n,) float64 the depth of each of n vectors in each tree: columns (d, n)."""
    n = columns.shape[1]
    beyond = _beyond(trees, columns)
    inside = np.full((len(trees.depth), beyond.shape[1]), 255, dtype=np.uint8)
    went_right = np.zeros((len(trees.turns), *inside.shape), dtype=np.uint8)
    for turn, turns in zip(trees.turns, went_right, strict=True):
        above, m = inside.take(turn.source, axis=0), len(turn.source)
        inside = np.empty((2 * m, above.shape[1]), dtype=np.uint8)
        np.bitwise_and(above, beyond.take(turn.cut, axis=0), out=inside[m:])
        np.bitwise_xor(above, inside[m:], out=inside[:m])
        # A vector is in one node of a tree only, so `or` is the sum.
        start = turn.widths[0]
        chunk = inside[m : m + start].copy()
        for width in turn.widths[1:]:
            np.bitwise_or(chunk[:width], inside[m + start :][:width], out=chunk[:width])
            start += width
        turns[turn.trees] = chunk
    size = trees.depth.shape[1]
    paths = np.zeros((len(trees.depth), n), dtype=np.min_scalar_type(size - 1))
    for level, turns in enumerate(went_right):
        bits = np.unpackbits(turns, axis=1, count=n).astype(paths.dtype, copy=False)
        bits <<= level
        paths |= bits
    offsets = np.arange(0, trees.depth.size, size)[:, None]  # start of the depths of each tree
    out += trees.depth.take(paths + offsets).sum(axis=0, dtype=np.float64)


def _beyond(trees: Grove, columns: np.ndarray) -> np.ndarray:
    """Return for each cut the bits of the vectors above it: (d, n) -> (q, n / 8) uint8."""
    n = columns.shape[1]
    bits = np.empty((len(trees.cuts), -(-n // 8)), dtype=np.uint8)
    most = max((len(trees.cuts[of_axis]) for _, of_axis in trees.axes), default=0)
    room = np.empty((most, n), dtype=bool)  # for the cuts of one axis; it stays in the cache
    for axis, of_axis in trees.axes:
        cuts = trees.cuts[of_axis]
        within = np.less_equal(columns[axis], cuts, out=room[: len(cuts)])
        bits[of_axis] = np.packbits(within, axis=1)
    return np.invert(bits, out=bits)


def _in_turn(tree: np.ndarray, inner: np.ndarray, trees: int) -> tuple[np.ndarray, list[int]]:
    """Return the order of the inner nodes of a level in a `Turn`: its `source` and `widths`."""
    source = np.flatnonzero(inner)
    source = source[np.argsort(tree[source], kind="stable")]
    of_tree = np.bincount(tree[source], minlength=trees)
    nth = np.arange(len(source)) - np.repeat(np.cumsum(of_tree) - of_tree, of_tree)
    rank = np.argsort(np.argsort(-of_tree, kind="stable"))
    return source[np.lexsort((rank[tree[source]], nth))], np.bincount(nth).tolist()


def _rounded_down(cut: np.ndarray) -> np.ndarray:
    """Round float64 cuts down to float32, which separate the same float32 values: (q,) -> (q,)."""
    near = cut.astype(np.float32)
    return np.where(near > cut, np.nextafter(near, np.float32(-np.inf)), near)
