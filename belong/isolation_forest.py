"""Isolation forest: how few random cuts set a vector apart from a sample of the others.

Liu, Ting and Zhou, Isolation Forest, ICDM 2008; paper B takes 2000 trees and the average depth.
scikit-learn grows the trees and sends vectors down them; between the two they are plain arrays,
so that they can be saved without pickle.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from sklearn.tree._tree import Tree


class Forest(NamedTuple):
    """Trees as arrays: t trees, one behind the other, with q nodes in all.

    Attributes:
        nodes: (t,) int64, the number of nodes of each tree.
        axis: (q,) int64, the axis that is cut; negative in a leaf.
        cut: (q,) float64; up to it goes to `left`, the rest to `right`.
        left, right: (q,) int64, place of the next node in its tree; -1 in a leaf.
        depth: (q,) float32, the number of cuts above a node and, in a leaf, those to be expected
            inside it were it grown to single vectors.
    """

    nodes: Tensor
    axis: Tensor
    cut: Tensor
    left: Tensor
    right: Tensor
    depth: Tensor


def fit(x: Tensor, *, trees: int, sample: int, seed: int) -> Forest:
    """Grow the trees, each on a random sample of the vectors (n, d)."""
    from sklearn.ensemble import IsolationForest  # not at the top: other detectors need none of it

    grown = IsolationForest(
        n_estimators=trees, max_samples=min(sample, len(x)), random_state=seed
    ).fit(x.numpy())
    all_trees = [estimator.tree_ for estimator in grown.estimators_]
    columns = [
        [tree.feature for tree in all_trees],
        [tree.threshold for tree in all_trees],
        [tree.children_left for tree in all_trees],
        [tree.children_right for tree in all_trees],
        [_depth(tree) for tree in all_trees],
    ]
    nodes = torch.tensor([tree.node_count for tree in all_trees])
    return Forest(nodes, *(torch.from_numpy(np.concatenate(column)) for column in columns))


def mean_depth(forest: Forest, x: Tensor, *, chunk: int = 8192) -> Tensor:
    """Return the average depth at which the trees isolate each vector: (n, d) -> (n,).

    Runs on torch's number of threads, and is the same for each.
    """
    vectors = np.ascontiguousarray(x.numpy(), dtype=np.float32)
    trees = list(_trees(forest, x.shape[1]))
    total = np.zeros(len(x))

    # A chunk goes down one tree after the other: it stays in the processor's cache meanwhile.
    def go_down(at: int) -> None:
        rows = slice(at, at + chunk)
        for tree, depth in trees:
            total[rows] += depth[tree.apply(vectors[rows])]

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(go_down, range(0, len(x), chunk)))  # raises what a thread raised
    return torch.from_numpy(total / len(forest.nodes)).float()


def _trees(forest: Forest, d: int) -> "Iterator[tuple[Tree, np.ndarray]]":
    """Yield each tree as scikit-learn's, and the depth of its nodes."""
    start = 0
    for count in forest.nodes.tolist():
        axis, cut, left, right, depth = (
            values[start : start + count].numpy() for values in forest[1:]
        )
        yield _tree(axis, cut, left, right, d), depth
        start += count


def _tree(axis: np.ndarray, cut: np.ndarray, left: np.ndarray, right: np.ndarray, d: int) -> "Tree":
    """Give scikit-learn one of its trees back."""
    from sklearn.tree._tree import NODE_DTYPE, Tree  # as above

    nodes = np.zeros(len(axis), dtype=NODE_DTYPE)
    for name, values in (
        ("feature", axis), ("threshold", cut), ("left_child", left), ("right_child", right),
    ):  # fmt: skip
        nodes[name] = values
    tree = Tree(d, np.array([1]), 1)
    tree.__setstate__(
        {
            "max_depth": 0,  # not looked at on the way down
            "node_count": len(nodes),
            "nodes": nodes,
            "values": np.zeros((len(nodes), 1, 1)),
        }
    )
    return tree


def _depth(tree: "Tree") -> np.ndarray:
    """Return the depth of each node of a tree, as `Forest` counts it: (q,) float32."""
    left, right = tree.children_left, tree.children_right
    depth = np.zeros(len(left))
    for node in np.flatnonzero(left != -1):  # a parent stands before its children
        depth[left[node]] = depth[right[node]] = depth[node] + 1
    leaves = left == -1
    depth[leaves] += _expected_depth(tree.n_node_samples[leaves])
    return depth.astype(np.float32)


def _expected_depth(n: np.ndarray) -> np.ndarray:
    """Average depth of an unsuccessful search in a binary tree of n vectors (Liu et al., eq. 1)."""
    sure = np.maximum(n, 3)
    harmonic = np.log(sure - 1.0) + np.euler_gamma
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, 2 * harmonic - 2 * (sure - 1) / sure))
