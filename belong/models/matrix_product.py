"""Multiply two matrices with the library that is fastest in portable math."""

import numpy as np
import torch
from torch import Tensor


def matrix_product(left: Tensor, right: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return (m, k) times (k, n): (m, n).

    On a CPU, NumPy computes the product: OpenBLAS has one code path for all processors with AVX2,
    while MKL in torch uses its oldest code path, at a third of the speed, and is slow on AMD.

    Args:
        left: (m, k), of any device and floating-point type.
        right: (k, n), of the same device and type.
        out: (m, n), for the product.
    """
    if left.device.type != "cpu":
        return torch.mm(left, right, out=out)
    if out is None:
        out = left.new_empty(len(left), right.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):  # as in torch: non-finite values propagate
        np.matmul(left.numpy(), right.numpy(), out=out.numpy())
    return out
