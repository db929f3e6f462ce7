"""Measure the speed of matrix products on this machine, as a limit for our rates."""

import time
from collections.abc import Callable

import torch

from benchmarks.contract import Limit

SIDE, TIMES = 1024, 8


def flop_per_second() -> float:
    """Return the highest measured rate of float32 products of square matrices."""
    a, b = torch.ones(SIDE, SIDE), torch.ones(SIDE, SIDE)
    out = torch.empty(SIDE, SIDE)
    best = float("inf")
    for _ in range(TIMES):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * SIDE**3 / best


def limit(flop: float, *, bar: float | None = None) -> Limit:
    """Return the limit of a work of so many floating-point operations."""
    return Limit(f"{flop / 1e9:.3g} GFLOP as matrix products", _seconds(flop), bar)


def _seconds(flop: float) -> Callable[[], float]:
    return lambda: flop / flop_per_second()
