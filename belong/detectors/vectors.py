"""Check vectors and labels of the user: NumPy arrays, or tensors on any device."""

from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from belong.runtime.arguments import refuse
from belong.runtime.errors import InputError

Array: TypeAlias = np.ndarray | Tensor


def as_tensor(name: str, value: object) -> Tensor:
    """Return numbers as a tensor on the CPU that shares memory if possible.

    Raises:
        InputError: the values are not real numbers.
    """
    if isinstance(value, Tensor):
        if value.is_complex():
            refuse(name, "real numbers", value.dtype)
        return value.detach().cpu()
    array: np.ndarray[Any, Any] = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name}: expected numbers, got values of type {array.dtype.name}")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    elif any(step < 0 for step in array.strides):
        array = np.ascontiguousarray(array)
    if not array.flags.writeable:  # torch warns about a read-only array
        array = array.copy()
    return torch.from_numpy(array)


def vectors(name: str, value: object, *, axes: int = 2) -> Tensor:
    """Return finite float32 vectors (n, d) on the CPU, or with `axes` 1 a vector (n,).

    Raises:
        InputError: the values have another shape, are empty, or are not finite real numbers.
    """
    tensor = as_tensor(name, value)
    shape = "(n, d)" if axes == 2 else "(n,)"
    if tensor.ndim != axes or not tensor.numel():
        raise InputError(
            f"{name}: expected shape {shape} and at least one value, got {tuple(tensor.shape)}"
        )
    return check_finite(name, tensor.float().contiguous())


def check_finite(name: str, rows: Tensor, *, first: int = 0) -> Tensor:
    """Return `rows` (n, ...) if all are finite in float32; `first` is the index of the first row.

    Raises:
        InputError: a value is not finite; the message names the first such row.
    """
    if rows.isfinite().all():
        return rows
    bad = torch.nonzero(~rows.isfinite().reshape(len(rows), -1).all(dim=1))[:, 0]
    raise InputError(
        f"{name}: expected finite numbers, got NaN or infinity in row {first + int(bad[0])}"
    )


def whole_labels(name: str, value: object, n: int) -> Tensor:
    """Return labels (n,) as int64.

    Raises:
        InputError: the labels are not n whole numbers of at least 0.
    """
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind in "USOT":
        raise InputError(
            f"{name}: expected whole numbers of at least 0, got text or objects; "
            f"numpy.unique(labels, return_inverse=True)[1] numbers them"
        )
    if array.dtype.kind not in "iub":
        raise InputError(
            f"{name}: expected whole numbers of at least 0, got values of type {array.dtype.name}"
        )
    if array.shape != (n,):
        raise InputError(f"{name}: expected shape ({n},), one for each row, got {array.shape}")
    if n and array.min() < 0:
        refuse(name, "whole numbers of at least 0", int(array.min()))
    return torch.from_numpy(array.astype(np.int64))
