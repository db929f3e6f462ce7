"""Process items in parallel and yield the results in the order of the items."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 1000  # maximum number of items that wait for a thread


def in_order(
    submit: Callable[[T], Future[R]], items: Iterable[T], *, ahead: int
) -> Iterator[tuple[T, Future[R]]]:
    """Submit the first items now, and each further item when a result is consumed.

    Args:
        submit: starts the work on an item.
        items: any number of items.
        ahead: maximum number of items that are submitted and not yet consumed.

    Returns:
        Each item with its future, in order.
    """
    remaining = iter(items)
    waiting = deque((item, submit(item)) for item in islice(remaining, ahead))

    def pairs() -> Iterator[tuple[T, Future[R]]]:
        while waiting:
            yield waiting.popleft()
            waiting.extend((item, submit(item)) for item in islice(remaining, 1))

    return pairs()


def parallel_map(
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    jobs: int | None = None,
    prepare: Callable[[], object] | None = None,
) -> Generator[R]:
    """Compute `work(item)` in threads and yield the results in the order of the items.

    If the generator is closed early, items that no thread has started are dropped.

    Args:
        work: releases the interpreter lock for most of its time, as Pillow, hashlib and files do.
        items: any number of items.
        jobs: number of threads; None: one per processor.
        prepare: called once in each thread before its first item.
    """
    pool = ThreadPoolExecutor(jobs or os.cpu_count(), initializer=prepare)
    try:
        for _, future in in_order(lambda item: pool.submit(work, item), items, ahead=AHEAD):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
