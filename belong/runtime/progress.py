"""Progress on standard error, and only where somebody watches."""

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
AT_A_TIME = 1000  # what waits for a processor is bounded


def bar(total: int, what: str | None, unit: str) -> "tqdm[Any]":
    """Return a progress bar with the time left, silent where stderr is no terminal.

    Without a name `what` it is silent everywhere.
    """
    silent = None if what else True  # None: where stderr is no terminal
    return tqdm(
        total=total, desc=what, unit=unit, unit_scale=True, disable=silent, dynamic_ncols=True
    )


def for_each_image(
    work: Callable[[int], T], count: int, what: str, *, jobs: int | None = None
) -> list[T]:
    """Call `work` with 0..count-1 in threads, as many as processors; return the answers in order.

    Pillow warns of odd notes in files that it reads all the same: warnings are silent meanwhile.
    """
    answers: list[T] = []
    pool = ThreadPoolExecutor(jobs or os.cpu_count())
    with warnings.catch_warnings(), bar(count, what, "image") as progress:
        warnings.simplefilter("ignore")
        try:
            for start in range(0, count, AT_A_TIME):
                for answer in pool.map(work, range(start, min(start + AT_A_TIME, count))):
                    answers.append(answer)
                    progress.update()
        finally:
            pool.shutdown(cancel_futures=True)
    return answers
