"""Set how networks compute at inference: the batch size and the type of numbers."""

from collections.abc import Callable

import torch
from torch import Tensor

from belong.models.forward_pass import filled
from belong.runtime import portable_math
from belong.runtime.errors import InputError

# Images per batch. Larger batches exceed the processor's cache, and glibc returns the memory of
# larger maps to the system after each layer. Smaller batches do not amortize the time of Python.
CPU_BATCH, GPU_BATCH = 4, 16
DTYPES = (torch.float32, torch.bfloat16)


def check_dtype(dtype: torch.dtype) -> None:
    """Refuse a type of numbers that the processor does not support.

    Raises:
        InputError: the type is not supported.
    """
    if dtype not in DTYPES:
        expected = " or ".join(str(one).removeprefix("torch.") for one in DTYPES)
        raise InputError(f"dtype: expected {expected}, got {str(dtype).removeprefix('torch.')}")
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        why = (
            "math: portable is limited to AVX2, which has no bfloat16"
            if portable_math.current() == portable_math.PORTABLE
            else "this processor has no bfloat16"
        )
        raise InputError(f"dtype: bfloat16: {why}; expected float32")


def batch_for(device: torch.device) -> int:
    """Return the batch size for inference."""
    return CPU_BATCH if device.type == "cpu" else GPU_BATCH


def in_full_batch(function: Callable[[Tensor], Tensor], rows: Tensor, *, batch_size: int) -> Tensor:
    """Call `function` with up to `batch_size` rows, padded to this size: (n, ...) -> (n, ...).

    With other batch sizes, the order of summation, and thus the last bits of a row, may differ. An
    empty batch stays empty.
    """
    return function(filled(rows, batch_size))[: len(rows)]
