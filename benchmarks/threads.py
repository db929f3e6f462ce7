"""Set the number of threads of this process: torch, BLAS, OpenMP and faiss."""

import os

import torch
from threadpoolctl import threadpool_limits


def compute_with(threads: int) -> None:
    """Set the number for this process and for those that it starts."""
    for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ[f"{library}_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    threadpool_limits(threads)
