"""Measure the time of one call."""

import time
from collections.abc import Callable


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long one call took; its result is dropped."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
