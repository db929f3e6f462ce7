"""Choose the compute device."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from belong.runtime import portable_math
from belong.runtime.errors import InputError


def choose(name: str) -> torch.device:
    """Return the device called `name`: "cpu", "cuda", or "auto" for a GPU if there is one.

    Raises:
        InputError: `name` is "cuda", and there is no GPU.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: expected auto or cpu, as torch finds no GPU, got cuda")
    return torch.device(name)


def compute_repeatably(threads: int, math: str) -> None:
    """Make equal inputs give equal bytes: fixed thread count, deterministic kernels.

    The order of summation, and thus the last bits, depend on the thread count, so the count is a
    parameter instead of the number of cores.

    Args:
        threads: thread count of torch, NumPy and SciPy.
        math: "portable" or "fast".

    Raises:
        InputError: `math` is "portable", and this process uses other code paths.
    """
    portable_math.check(math)
    use_threads(threads)
    # The same as use_deterministic_algorithms(True), which imports torch's compiler: 1.3 s.
    torch.set_deterministic_debug_mode("error")
    # It would fill every new tensor, while no code here reads uninitialized memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def use_threads(threads: int) -> None:
    """Set the thread count of torch, NumPy and SciPy."""
    torch.set_num_threads(threads)
    threadpool_limits(threads, "blas")


@contextmanager
def callers_settings() -> Iterator[None]:
    """Restore the caller's torch settings and global generators when the block ends."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    generators = torch.random.fork_rng(range(torch.cuda.device_count()))
    with generators, threadpool_limits(None, "blas"):
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_deterministic_debug_mode(mode)
            torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
