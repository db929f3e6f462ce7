"""Batches of files, scored some at a time; what is said of each is kept in a file of its own.

The file is named by a hash of the model and of the batch's paths, sizes and times of change: the
same run finds those that are finished. A batch is kept whole or not at all, for scores depend on
the rest of their batch in their last bits: so the tables are, byte for byte, those of a run that
was not interrupted.
"""

import json
import os
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from belong.artefacts import save_text
from belong.decoders import Answers
from belong.scoring import Scorer
from belong.table_paths import in_table
from belong.verdict_files import Rows, rows_of

# That the networks compute with, for each batch: as many as the pipeline, and the same last bits.
THREADS = 1
AT_ONCE = 8  # batches, at most: each takes memory


@dataclass(frozen=True)
class Batch:
    """Files that are scored together, and the file that keeps what is said of them."""

    files: list[str]
    kept: Path

    def rows(self) -> tuple[Rows, Rows] | None:
        """Return the rows of predictions.csv and of unreadable.csv, if the batch is finished."""
        try:
            said = json.loads(self.kept.read_text(encoding="utf-8"))
            return said["read"], said["unreadable"]
        except (FileNotFoundError, ValueError, KeyError):  # a crash may have left half of it
            return None


def finish(
    batches: Iterable[Batch], images: Iterable[Answers], scorer: Scorer, *, at_once: int
) -> Generator[int]:
    """Score batches and keep what is said; yield the number of files of each that is finished.

    Each batch has a thread of its own. Where this ends early, so do those that are at work, and
    nothing is kept of them.
    """
    running: deque[Future[int]] = deque()
    with ThreadPoolExecutor(
        at_once, initializer=torch.set_num_threads, initargs=(THREADS,)
    ) as pool:
        try:
            for batch, some in zip(batches, images, strict=True):
                running.append(pool.submit(_finish, batch, some, scorer))
                if len(running) > at_once:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            scorer.stop()
            raise


def most_at_once(jobs: int, place: torch.device) -> int:
    """Return how many batches to score at a time: a GPU takes one, and a processor one each."""
    return min(jobs, os.cpu_count() or 1, AT_ONCE) if place.type == "cpu" else 1


def _finish(batch: Batch, some: Answers, scorer: Scorer) -> int:
    """Score a batch and keep what is said; return how many files it has."""
    both = list(zip(batch.files, some, strict=True))
    read = [(file, said) for file, said in both if not isinstance(said, str)]
    bad = [(in_table(file), why) for file, why in both if isinstance(why, str)]
    rows: Rows = []
    if read:
        scored = scorer.score(np.stack([picture.pixels for _, picture in read]))
        rows = rows_of(
            [in_table(file) for file, _ in read],
            scored,
            scorer.manifest.class_names,
            frames=[picture.frames for _, picture in read],
        )
    save_text(batch.kept, json.dumps({"read": rows, "unreadable": bad}))
    return len(batch.files)
