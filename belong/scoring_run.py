"""Score image files and write down what comes out; after an interruption, go on where it was.

Files are taken in batches, in the order of their sorted paths; `belong.scored_batches` keeps what
is said of each. Memory holds what `belong.decoding` decodes ahead, the batches at work, and the
names of all files. Decoding begins before torch is imported, which takes longer than many a folder.
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

from belong.artefacts import save_json
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
    save_tables,
    summary_of,
)

if TYPE_CHECKING:
    import torch

    from belong.scored_batches import Batch

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
        from belong.scored_batches import THREADS, Batch

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
    from belong.scored_batches import finish, most_at_once
    from belong.scoring import Scorer

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
