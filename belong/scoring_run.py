"""Score image files and write down what comes out; after an interruption, go on where it was.

Files are taken in batches, in the order of their sorted paths, and what is said of a batch is kept
in a file of its own, named by the hash of the model and of the batch's paths, sizes and times of
change. The same run finds those that are finished. A batch is kept whole or not at all, for scores
depend on the rest of their batch in their last bits: so the tables are, byte for byte, those of a
run that was not interrupted. Memory holds what `belong.decoding` decodes ahead, and the names of
all files. Decoding begins before torch is imported, which takes longer than many a folder.
"""

import hashlib
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from belong.artefacts import save_json, save_text
from belong.bundle import Bundle
from belong.class_folders import printable
from belong.decoders import Answers
from belong.decoding import decoded
from belong.errors import InputError, TooManyBadFilesError
from belong.incoming import Incoming
from belong.one_writer import one_writer
from belong.progress import bar
from belong.table_paths import in_table
from belong.verdict_files import (
    PREDICTIONS,
    SUMMARY,
    UNREADABLE,
    Rows,
    check_free,
    check_outside,
    rows_of,
    save_tables,
    summary_of,
)

if TYPE_CHECKING:
    import torch

    from belong.scoring import Scorer

UNFINISHED = ".unfinished"  # the folder of the finished batches, while others are not
# That the networks compute with, for each batch: as many as the pipeline, and the same last bits.
THREADS = 1
MOST_AT_ONCE = 8  # batches that are scored at a time; more would only take memory


@dataclass(frozen=True)
class Batch:
    """Files that are scored together, and the file that keeps what is said of them."""

    files: list[str]
    kept: Path


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
        jobs: processes that decode.
        batch_size: images that are scored together.
        device_name: see `belong.device.choose`.
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

        from belong import device

        place = device.choose(device_name)
        torch.set_num_threads(THREADS)
        with one_writer(out / PREDICTIONS, say):
            if not overwrite:  # another run may have ended with it
                check_free(out, source, bundle.manifest.digest)
            (out / UNFINISHED).mkdir(exist_ok=True)  # now, and not after the first batch
            run = f"{bundle.manifest.digest} {batch_size} {place.type}"
            batches = [Batch(files, out / UNFINISHED / _name(run, at)) for files, at in states]
            now = _score_the_rest(batches, pictures, bundle, place)
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
        self.incoming = incoming
        self._form = bundle.manifest.form
        self._jobs = jobs
        self._begun: list[list[str]] = []
        self._images: Generator[Answers] | None = None

    def begin(self, batches: list[list[str]]) -> Generator[Answers]:
        """Begin to decode the files of these batches, and of no others."""
        self.close()
        paths = ([self.incoming.path(file) for file in files] for files in batches)
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
    batches: list[Batch], pictures: _Pictures, bundle: Bundle, place: "torch.device"
) -> int:
    """Score the batches that are not finished; return how many files these have."""
    import torch

    from belong.scoring import Scorer

    todo = [batch for batch in batches if _kept(batch) is None]
    n, now = (sum(len(batch.files) for batch in some) for some in (batches, todo))
    images = pictures.of([batch.files for batch in todo])
    at_once = _at_once(place)

    def finish(batch: Batch, some: Answers) -> int:
        scored = _scored(batch, some, scorer)
        save_text(batch.kept, json.dumps(scored))
        return len(batch.files)

    with bar(n, "score", "image") as progress:
        progress.update(n - now)
        try:
            scorer = Scorer(bundle, place=place)
            # Each thread computes with as many as the first one.
            with ThreadPoolExecutor(
                at_once, initializer=torch.set_num_threads, initargs=(THREADS,)
            ) as pool:
                running: deque[Future[int]] = deque()
                for batch, some in zip(todo, images, strict=True):
                    running.append(pool.submit(finish, batch, some))
                    if len(running) > at_once:
                        progress.update(running.popleft().result())
                for one in running:
                    progress.update(one.result())
        except KeyboardInterrupt:
            done = sum(len(batch.files) for batch in batches if batch.kept.exists())
            raise KeyboardInterrupt(
                f"interrupted; {done} of {n} images are done, and the same command goes on "
                f"from there"
            ) from None
    return now


def _at_once(place: "torch.device") -> int:
    """Return how many batches are scored at a time: a GPU takes one, processors one each."""
    return min(os.cpu_count() or 1, MOST_AT_ONCE) if place.type == "cpu" else 1


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


def _kept(batch: Batch) -> tuple[Rows, Rows] | None:
    """Return the rows of a batch that is finished."""
    try:
        said = json.loads(batch.kept.read_text(encoding="utf-8"))
        return said["read"], said["unreadable"]
    except (FileNotFoundError, ValueError, KeyError):  # a crash may have left half of it
        return None


def _pieces(batches: list[Batch], incoming: Incoming, out: str) -> Iterator[tuple[Rows, Rows]]:
    for batch in batches:
        rows = _kept(batch)
        if rows is None:
            raise InputError(
                f"{out}: {UNFINISHED} was changed meanwhile; the same command mends it"
            )
        yield rows
    yield [], [(in_table(folder), why) for folder, why in incoming.shut]


def _scored(batch: Batch, pictures: Answers, scorer: "Scorer") -> dict[str, Rows]:
    """Return the rows of a batch, as `_kept` wants them."""
    both = list(zip(batch.files, pictures, strict=True))
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
    return {"read": rows, "unreadable": bad}
