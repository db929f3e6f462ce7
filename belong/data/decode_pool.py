"""Decode image files in several processes, ahead of whoever takes them, in order.

Decoding small files is nearly all Python: threads would take turns with each other, with the import
of torch and with the networks. And a file that brings a decoder down costs that file alone.
"""

import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from belong.data.decoder import Wanted, decode
from belong.data.decoders import Answers, Decoders
from belong.data.image_form import ImageForm

AHEAD = 2  # batches in memory: one at work, one being decoded
AHEAD_BYTES = 2**22  # or more of them, if their pixels take no more than this
FIRST_BYTES = 2**24  # the same until somebody takes the first: torch is imported meanwhile
AT_ONCE = 32  # files that are decoded in one go, at most
FEW = 32  # files that are decoded before a process has started
PER_PROCESSOR = 4  # processes, at most: some wait for a slow disk; more would only take memory


def decoded(batches: Iterable[Sequence[Path]], form: ImageForm, *, jobs: int) -> Generator[Answers]:
    """Yield of each batch what `belong.data.decoder.decode` says of its files.

    Args:
        batches: the files. Unless they are few, those ahead are asked for at once, and decoded
            while nobody takes them yet.
        form: of the pixels.
        jobs: processes that decode; threads, if the files are few or no process can be started.
    """
    wanted, rest = Wanted.of(form), iter(batches)
    first: list[Sequence[Path]] = []
    while sum(map(len, first)) <= FEW and (batch := next(rest, None)) is not None:
        first.append(batch)
    every = chain(first, rest)
    if sum(map(len, first)) <= FEW or not sys.executable or hasattr(sys, "frozen"):
        return _by_threads(every, wanted, jobs)
    images = _by_processes(every, wanted, form.channels, jobs)
    next(images)
    return images


def _by_threads(batches: Iterator[Sequence[Path]], wanted: Wanted, jobs: int) -> Generator[Answers]:
    def several(paths: Sequence[Path]) -> Answers:
        return [decode(path, wanted) for path in paths]

    # Pillow warns of odd notes in files that it reads all the same. The filter holds for all
    # threads, so it is set around them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images = _in_order(batches, several, jobs=jobs, ahead=(0, 0))
        next(images)
        yield from images


def _by_processes(
    batches: Iterator[Sequence[Path]], wanted: Wanted, channels: int, jobs: int
) -> Generator[Answers]:
    jobs = min(jobs, PER_PROCESSOR * (os.cpu_count() or 1))
    pixels = channels * wanted.height * wanted.width
    decoders = Decoders(wanted, channels)
    ahead = FIRST_BYTES // pixels, AHEAD_BYTES // pixels
    return _in_order(batches, decoders.decode, jobs=jobs, ahead=ahead, end=decoders.end)


def _in_order(
    batches: Iterator[Sequence[Path]],
    several: Callable[[Sequence[Path]], Answers],
    *,
    jobs: int,
    ahead: tuple[int, int],
    end: Callable[[], None] = lambda: None,
) -> Generator[Answers]:
    """Yield nothing once work has begun, and then the answers of each batch.

    Args:
        batches: the files.
        several: decodes files; it is called by `jobs` threads.
        jobs: threads.
        ahead: files in memory, where they are more than those of AHEAD batches: before the first
            batch is taken, and then.
        end: makes calls of `several` return soon.
    """
    waiting: deque[list[Future[Answers]]] = deque()
    files = 0  # in them
    pool = ThreadPoolExecutor(jobs)

    def look_ahead(most: int) -> None:
        nonlocal files
        while len(waiting) < AHEAD or files < most:
            batch = next(batches, None)
            if batch is None:
                return
            step = max(1, min(AT_ONCE, len(batch) // (2 * jobs)))
            starts = range(0, len(batch), step)
            waiting.append([pool.submit(several, batch[at : at + step]) for at in starts])
            files += len(batch)

    try:
        look_ahead(ahead[0])
        yield []
        while waiting:
            answers = [one for some in waiting.popleft() for one in some.result()]
            files -= len(answers)
            yield answers
            look_ahead(ahead[1])
    finally:
        end()
        pool.shutdown(cancel_futures=True)
