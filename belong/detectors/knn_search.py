"""Exact distances to the k-th nearest of many vectors, in chunks.

The vectors are divided into groups. The k nearest vectors lie in the k groups with the nearest
minimum, so `topk`, which is slow, searches only k groups. The groups themselves are searched in the
same way, by groups of groups.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.detectors.onnx_graph import Graph
from belong.models.matrix_product import matrix_product
from belong.runtime.errors import InputError

# Measured to be the fastest: the products of a chunk, 54,000 x 64 x 4 bytes, stay in the cache.
QUERIES = 64  # queries per thread
VECTORS = 16  # vectors per group
GROUPS = 8  # groups per group of groups


class Neighbors:
    """Vectors, prepared for nearest-neighbor queries."""

    def __init__(self, reference: Tensor) -> None:
        """Prepare vectors (n, d)."""
        # Centered vectors are shorter, and products of short vectors lose fewer digits.
        self._center = reference.mean(dim=0)
        self._vectors = reference - self._center
        self._columns = padded_columns(self._vectors, self._vectors.square().sum(dim=1) / 2)

    def kth_distance(self, queries: Tensor, *, k: int, chunk: int | None = None) -> Tensor:
        """Return the Euclidean distance of each query to its k-th nearest vector.

        Memory is bounded by chunk x n. The neighbor is found with a matrix product, and its
        distance is computed from the difference, as the product loses precision for close vectors.
        Queries (m, d) -> (m,); k is 1..n, with 1 for the nearest; the default chunk is the fastest.

        Raises:
            InputError: k is larger than n.
        """
        n = len(self._vectors)
        if k > n:
            raise InputError(f"k: expected at most {n}, the number of training images, got {k}")
        chunk = chunk or QUERIES * torch.get_num_threads()
        products = queries.new_empty(min(chunk, len(queries)), self._columns.shape[1])
        distances = []
        for part in (queries - self._center).split(chunk):
            # Half the squared distance, without a term that is equal for all vectors.
            with_one = F.pad(part.neg(), (0, 1), value=1)
            near = matrix_product(with_one, self._columns, out=products[: len(part)])
            # A non-finite query has no neighbor; with any vector, its distance is non-finite.
            kth = smallest(near, k)[:, -1].clamp_(max=n - 1)
            distances.append(torch.linalg.vector_norm(part - self._vectors[kth], dim=1))
        return torch.cat(distances) if distances else queries.new_empty(0)


def kth_distance_in(graph: Graph, queries: str, reference: np.ndarray, *, k: int) -> str:
    """Add `Neighbors.kth_distance` to a graph, for all queries (n, d) together: (n,)."""
    center = reference.mean(axis=0, dtype=np.float64).astype(np.float32)
    reference = reference - center
    half_norms = (reference * reference).sum(axis=1) / 2
    centered = graph("Sub", queries, center)
    near = graph("Gemm", centered, reference, half_norms, alpha=-1.0, transB=1)
    _, rows = graph.several(2, "TopK", near, np.array([k]), axis=1, largest=0)
    kth = graph("Gather", rows, np.array(k - 1), axis=1)
    return graph.length(graph("Sub", centered, graph("Gather", reference, kth)), axis=1)


def padded_columns(vectors: Tensor, below: Tensor) -> Tensor:
    """Return vectors (n, d) as columns with `below` (n,) as the last row: (d + 1, n or more).

    Padding columns have infinity in this row, so that they are never neighbors.
    """
    n, d = vectors.shape
    columns = vectors.new_zeros(d + 1, n + -n % (VECTORS * GROUPS))
    columns[:d, :n] = vectors.T
    columns[d] = torch.inf
    columns[d, :n] = below
    return columns


def smallest(values: Tensor, k: int) -> Tensor:
    """Return the indices of the k smallest values per row, ascending: (m, n) -> (m, k).

    n is that of `padded_columns`.
    """
    # Groups are columns, so that `amin` runs along rows.
    groups = values.unflatten(1, (VECTORS, -1))
    nearest = groups.amin(dim=1)
    of_groups = nearest.unflatten(1, (GROUPS, -1))
    near = of_groups.amin(dim=1).topk(min(k, of_groups.shape[2]), dim=1, largest=False).indices
    near = _smallest_in(of_groups, near, min(k, nearest.shape[1]))
    return _smallest_in(groups, near, k)


def _smallest_in(groups: Tensor, columns: Tensor, k: int) -> Tensor:
    """Return the indices of the k smallest values in some columns, smallest first: (m, k).

    `groups` is (m, size of a group, groups), `columns` (m, groups to search); an index refers to a
    row of (m, size of a group x groups).
    """
    size, wide = groups.shape[1:]
    among = groups.gather(2, columns[:, None].expand(-1, size, -1)).flatten(1)
    smallest = among.topk(k, dim=1, largest=False).indices
    row, at = smallest // columns.shape[1], smallest % columns.shape[1]
    return row * wide + columns.gather(1, at)
