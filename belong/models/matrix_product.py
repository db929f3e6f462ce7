"""Multiply two matrices with the library that is fastest in the math mode of the process."""

import numpy as np
import torch
from torch import Tensor

from belong.runtime import portable_math


def matrix_product(left: Tensor, right: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return (m, k) times (k, n): (m, n).

    On a CPU, NumPy computes the product: OpenBLAS has one code path for all processors with AVX2,
    while MKL in torch uses its oldest code path, at a third of the speed. In fast math on several
    threads torch computes it, as the threads of both libraries would wait for each other.

    Args:
        left: (m, k), of any device and floating-point type.
        right: (k, n), of the same device and type.
        out: (m, n), for the product.
    """
    is_fast = portable_math.current() == portable_math.FAST
    if left.device.type != "cpu" or (is_fast and torch.get_num_threads() > 1):
        return torch.mm(left, right, out=out)
    if out is None:
        out = left.new_empty(len(left), right.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):  # as in torch: non-finite values propagate
        np.matmul(left.numpy(), right.numpy(), out=out.numpy())
    return out
