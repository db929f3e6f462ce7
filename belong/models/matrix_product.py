"""Multiply two matrices with the library that is fastest in portable math."""

import numpy as np
import torch
from torch import Tensor


def matrix_product(left: Tensor, right: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return (m, k) times (k, n): (m, n).

    On a CPU it is NumPy's: its OpenBLAS has one code for every processor with AVX2, where torch's
    MKL falls back on code for the oldest one, at a third of the rate; and is slow on AMD anyway.

    Args:
        left: of any device and floating type.
        right: of the same.
        out: where to write the product, (m, n).
    """
    if left.device.type != "cpu":
        return torch.mm(left, right, out=out)
    if out is None:
        out = left.new_empty(len(left), right.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):  # as torch: what is not finite stays so
        np.matmul(left.numpy(), right.numpy(), out=out.numpy())
    return out
