"""Work on many items at once, and take the results in their order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 1000  # items that wait for a thread, at most


def in_order(
    submit: Callable[[T], Future[R]], items: Iterable[T], *, ahead: int
) -> Iterator[tuple[T, Future[R]]]:
    """Submit the first items now, and the others as results are taken.

    Args:
        submit: starts the work on an item.
        items: any number of them.
        ahead: items that are submitted and not yet taken, at most.

    Returns:
        Each item with its future, in order.
    """
    rest = iter(items)
    waiting = deque((item, submit(item)) for item in islice(rest, ahead))

    def pairs() -> Iterator[tuple[T, Future[R]]]:
        while waiting:
            yield waiting.popleft()
            waiting.extend((item, submit(item)) for item in islice(rest, 1))

    return pairs()


def parallel_map(
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    jobs: int | None = None,
    prepare: Callable[[], object] | None = None,
) -> Generator[R]:
    """Yield `work(item)` of each item, in order, computed by threads.

    Where this is left early, items that no thread has begun are dropped.

    Args:
        work: lets go of the interpreter for most of its time, as Pillow, hashlib and files do.
        items: any number of them.
        jobs: threads; all processors, if none is given.
        prepare: is called once in each thread, before its first item.
    """
    pool = ThreadPoolExecutor(jobs or os.cpu_count(), initializer=prepare)
    try:
        for _, future in in_order(lambda item: pool.submit(work, item), items, ahead=AHEAD):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
