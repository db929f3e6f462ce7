"""Exact distances to the k-th nearest of many vectors, in chunks."""

import torch
from torch import Tensor

from belong.errors import InputError


def kth_distance(queries: Tensor, reference: Tensor, *, k: int, chunk: int = 512) -> Tensor:
    """Return the Euclidean distance of each query to its k-th nearest reference vector.

    Memory is bounded by chunk x n; the neighbor is found with one matrix product, and its
    distance is then taken from the difference, for the product loses digits where vectors are
    close.

    Args:
        queries: (m, d).
        reference: (n, d).
        k: 1..n; 1 is the nearest.
        chunk: queries at a time.

    Returns:
        (m,).

    Raises:
        InputError: k is larger than n.
    """
    if k > len(reference):
        raise InputError(f"k is {k}, but there are only {len(reference)} training images")
    # Around their mean the vectors are short, and short ones lose fewer digits in a product.
    center = reference.mean(dim=0)
    reference = reference - center
    half_norms = reference.square().sum(dim=1) / 2
    distances = []
    for some in (queries - center).split(chunk):
        # Half the squared distance, less a term that is the same for all reference vectors.
        near = torch.addmm(half_norms, some, reference.T, alpha=-1)
        kth = near.topk(k, dim=1, largest=False).indices[:, -1]
        distances.append(torch.linalg.vector_norm(some - reference[kth], dim=1))
    return torch.cat(distances) if distances else queries.new_empty(0)
