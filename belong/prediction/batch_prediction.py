"""Score batches of decoded images in threads."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from belong.data.decode_pool import Answers
from belong.prediction.predictions import Predictions, Scores, predictions_of
from belong.runtime.text import in_table

if TYPE_CHECKING:
    import torch

    from belong.prediction.predictor import Predictor

T = TypeVar("T")
# Is given the files of a batch that can be read, their pixels (m, ch, h, w), and their scores.
Observer = Callable[[Sequence[str], np.ndarray, Scores], None]

# The networks compute with this many for each batch: as the pipeline does, to the same last bits.
THREADS = 1
AT_ONCE = 8  # batches, at most: each takes memory


def predict_batch(
    files: Sequence[str],
    answers: Answers,
    *,
    predictor: "Predictor",
    stopped: Event,
    observe: Observer | None = None,
) -> Predictions:
    """Return the predictions for files that were decoded: an answer for each of them."""
    both = list(zip(files, answers, strict=True))
    read = {file: answer for file, answer in both if not isinstance(answer, str)}
    scores = None
    if read:
        pixels = np.stack([picture.pixels for picture in read.values()])
        scores = predictor.score(pixels, stopped=stopped)
        if observe:
            observe(list(read), pixels, scores)
    return predictions_of(
        [in_table(file) for file in files],
        [answer if isinstance(answer, str) else answer.frames for answer in answers],
        scores,
        predictor.manifest.class_names,
    )


def threads_for(device: "torch.device", jobs: int) -> int:
    """Return how many batches to score at a time: one on a GPU, one for each processor else."""
    return min(jobs, os.cpu_count() or 1, AT_ONCE) if device.type == "cpu" else 1


def in_threads(tasks: Iterable[Callable[[], T]], *, threads: int, stopped: Event) -> Generator[T]:
    """Yield the result of each task, in order; each runs in a thread of its own.

    Where this ends early, no further task begins, and `stopped` is set for those that run.
    """
    import torch  # not at the top: meanwhile, files are decoded

    running: deque[Future[T]] = deque()
    with ThreadPoolExecutor(
        threads, initializer=torch.set_num_threads, initargs=(THREADS,)
    ) as pool:
        try:
            for task in tasks:
                running.append(pool.submit(task))
                if len(running) > threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stopped.set()
            raise
