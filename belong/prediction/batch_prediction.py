"""Score image files and write down what comes out; after an interruption, go on where it was.

Files are taken in batches, in the order of their sorted paths. Memory holds what
`belong.data.decode_pool` decodes ahead, the batches at work, and the names of all files. Decoding
begins before torch is imported, which takes longer than many a folder.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from belong.data.decode_pool import Answers, decoded
from belong.data.file_discovery import Incoming
from belong.prediction.bundle import Bundle
from belong.prediction.prediction_files import (
    PREDICTIONS,
    SUMMARY,
    UNREADABLE,
    Rows,
    check_free,
    check_outside,
    save_tables,
    summary_of,
)
from belong.runtime.errors import InputError, TooManyBadFilesError
from belong.runtime.process_lock import one_writer
from belong.runtime.progress import bar
from belong.runtime.storage import save_json
from belong.runtime.text import in_table, printable

if TYPE_CHECKING:
    import torch

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from belong.prediction.prediction_files import rows_of
from belong.prediction.predictor import Scorer
from belong.runtime.storage import save_text

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


UNFINISHED = ".unfinished"  # the folder of the finished batches, while others are not


def score_files(
    incoming: Incoming,
    bundle: Bundle,
    out: Path,
    *,
    source: str,
    jobs: int,
    batch_size: int,
    device_name: str,
    overwrite: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write predictions.csv, unreadable.csv and summary.json; return the summary.

    Two runs into one folder take turns.

    Args:
        incoming: the files.
        bundle: the model.
        out: folder for the results; it is made if it is not there.
        source: what the user calls the files.
        jobs: processes that decode, and threads that score on processors, at most.
        batch_size: images that are scored together.
        device_name: see `belong.models.device.choose`.
        overwrite: whether the results of another run may be replaced; no other file ever is.
        say: is told which process has to end first, if one writes into the folder.

    Raises:
        InputError: `out` is among the images or has the results of another run, or there is no
            such device.
        TooManyBadFilesError: no image can be read; the files are written nevertheless.
        KeyboardInterrupt: says how far it came.
    """
    start = time.perf_counter()
    check_outside(out, incoming.top)
    if not overwrite:
        check_free(out, source, bundle.manifest.digest)
    states = list(_states(incoming, batch_size))
    with closing(_Pictures(incoming, bundle, jobs)) as pictures:
        if not (out / UNFINISHED).exists():  # what it has counts if it was computed in this place
            pictures.begin([files for files, _ in states])
        import torch  # not at the top: meanwhile, files are decoded

        from belong.models import device

        place = device.choose(device_name)
        torch.set_num_threads(THREADS)
        with one_writer(out / PREDICTIONS, say):
            if not overwrite:  # another run may have ended with it
                check_free(out, source, bundle.manifest.digest)
            (out / UNFINISHED).mkdir(exist_ok=True)  # now, and not after the first batch
            run = f"{bundle.manifest.digest} {batch_size} {place.type}"
            batches = [Batch(files, out / UNFINISHED / _name(run, at)) for files, at in states]
            now = _score_the_rest(batches, pictures, bundle, jobs, place)
            counts = save_tables(out, _pieces(batches, incoming, printable(out)))
            seconds = time.perf_counter() - start
            summary = summary_of(counts, bundle.manifest) | {
                "ignored": len(incoming.ignored),
                "source": source,
                "seconds": round(seconds, 3),
                "images_per_second": round(now / seconds, 1),
            }
            save_json(out / SUMMARY, summary)
            shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    if summary["images"] == 0:
        raise TooManyBadFilesError(
            f"{source}: no image can be read; {printable(out / UNREADABLE)} says why"
        )
    return summary


class _Pictures:
    """The images of batches of files, decoded ahead: of those that are wanted, it is guessed."""

    def __init__(self, incoming: Incoming, bundle: Bundle, jobs: int) -> None:
        self._incoming = incoming
        self._form = bundle.manifest.form
        self._jobs = jobs
        self._begun: list[list[str]] = []
        self._images: Generator[Answers] | None = None

    def begin(self, batches: list[list[str]]) -> Generator[Answers]:
        """Begin to decode the files of these batches, and of no others."""
        self.close()
        paths = ([self._incoming.path(file) for file in files] for files in batches)
        self._begun = batches
        self._images = decoded(paths, self._form, jobs=self._jobs)
        return self._images

    def of(self, batches: list[list[str]]) -> Generator[Answers]:
        """Return the images of each of these batches; begin anew if others were begun."""
        if self._images is not None and batches == self._begun:
            return self._images
        return self.begin(batches)

    def close(self) -> None:
        """End the decoding."""
        if self._images is not None:
            self._images.close()


def _score_the_rest(
    batches: "list[Batch]", pictures: _Pictures, bundle: Bundle, jobs: int, place: "torch.device"
) -> int:
    """Score the batches that are not finished; return how many files these have."""
    from belong.prediction.predictor import Scorer

    todo = [batch for batch in batches if batch.rows() is None]
    n, now = (sum(len(batch.files) for batch in some) for some in (batches, todo))
    images = pictures.of([batch.files for batch in todo])
    with bar(n, "score", "image") as progress:
        progress.update(n - now)
        try:
            scorer, several = Scorer(bundle, place=place), most_at_once(jobs, place)
            with closing(finish(todo, images, scorer, at_once=several)) as finished:
                for files in finished:
                    progress.update(files)
        except KeyboardInterrupt:
            done = sum(len(batch.files) for batch in batches if batch.kept.exists())
            raise KeyboardInterrupt(
                f"interrupted; {done} of {n} images are done, and the same command goes on "
                f"from there"
            ) from None
    return now


def _states(incoming: Incoming, size: int) -> Iterator[tuple[list[str], str]]:
    """Yield the files of each batch, and a hash of their paths, sizes and times of change."""
    for at in range(0, len(incoming.files), size):
        files = incoming.files[at : at + size]
        state = [incoming.top, *((file, _state(incoming.top, file)) for file in files)]
        yield files, hashlib.sha256(json.dumps(state).encode()).hexdigest()


def _state(top: str, file: str) -> tuple[int, int] | None:
    """Return what changes when a file does."""
    try:
        found = os.stat(os.path.join(top, file))  # noqa: PTH116, PTH118  (a Path takes as long)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def _name(run: str, state: str) -> str:
    return hashlib.sha256(f"{run} {state}".encode()).hexdigest() + ".json"


def _pieces(batches: "list[Batch]", incoming: Incoming, out: str) -> Iterator[tuple[Rows, Rows]]:
    for batch in batches:
        rows = batch.rows()
        if rows is None:
            raise InputError(
                f"{out}: {UNFINISHED} was changed meanwhile; the same command mends it"
            )
        yield rows
    yield [], [(in_table(folder), why) for folder, why in incoming.shut]
