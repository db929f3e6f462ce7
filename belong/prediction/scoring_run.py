"""Score image files in batches, write the predictions, and resume after an interruption.

`score_files` is the whole run; its parts follow in the order of use. Files are scored in the order
of their sorted paths. Memory holds the images that `belong.data.decode_pool` decodes ahead, the
current batches, and the names of all files. Decoding starts before torch is imported, which may
take longer than the whole folder.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from belong.calibration.verdict_rule import VerdictRule
from belong.data.decode_pool import Answers, decoded
from belong.data.file_discovery import LEADS_OUT, Incoming
from belong.data.image_form import ImageForm
from belong.data.image_reader import heif_without_reader
from belong.data.unreadable import none_readable
from belong.prediction.model import THREADS, Model, Observer, in_threads, predict_batch, threads_for
from belong.prediction.prediction_files import (
    PREDICTIONS,
    SUMMARY,
    UNREADABLE,
    Rows,
    check_free,
    check_outside,
    rows_of,
    run_of,
    save_ignored,
    save_tables,
    summary_of,
)
from belong.prediction.predictions import COLUMNS, restated
from belong.prediction.rule_of_model import is_reported, reporting_rule, rule_for
from belong.prediction.scoring_options import ScoringOptions
from belong.runtime import portable_math, unfinished
from belong.runtime.argument_names import named
from belong.runtime.errors import InputError
from belong.runtime.process_lock import one_writer
from belong.runtime.progress import bar
from belong.runtime.storage import load_csv, read_bytes, save_json, save_text
from belong.runtime.text import counted, in_table, printable

if TYPE_CHECKING:
    from belong.prediction.predictor import Predictor

OF_READ, OF_UNREAD = len(COLUMNS), 2  # values in a row of predictions.csv and of unreadable.csv
MOST_BYTES = 2**30  # maximum size of a batch of 65,536 rows
BATCH_NAMES = "?" * 64 + ".json"  # files of finished batches in an unfinished run


def score_files(
    incoming: Incoming,
    model: Model,
    output: Path,
    options: ScoringOptions,
    *,
    source: str,
    say: Callable[[str], None],
    observe: Observer | None = None,
    thumbnail_px: int = 0,
    finish: Callable[[list[str]], None] | None = None,
) -> dict[str, Any]:
    """Write predictions.csv, unreadable.csv, ignored.csv and summary.json; return the summary.

    Two runs with the same output run one after the other. After a kill, the same call finishes the
    run.

    Args:
        incoming: the files.
        model: the model.
        output: folder for the results; created if missing.
        options: the scoring options.
        source: the user's name for the files.
        say: prints a line about another process that writes to the folder, unreadable HEIC photos,
            and links that are not followed.
        observe: called from several threads with each batch that this run scores.
        thumbnail_px: longer side of the thumbnails for `observe`; 0: no thumbnails.
        finish: called with the readable files in the order of predictions.csv, to write further
            results under the lock of this run; not called without readable files.

    Raises:
        InputError: `output` is among the images or has the results of another run; the device is
            missing; or the calibration images are too few for an option.
        IntegrityError: the parts of the model do not fit together.
        TooManyBadFilesError: no image can be read; the files are written nevertheless.
        KeyboardInterrupt: interrupted; the message has the progress.
    """
    start = time.perf_counter()
    manifest, rule = model.info, rule_for(model.bundle, options)
    check_outside(output, incoming.top)
    if not options.overwrite:
        check_free(output, source, manifest.digest)
    if unread := heif_without_reader(map(incoming.path, incoming.files)):
        say(unread)
    if links := links_left_out(incoming):
        say(links)
    states = list(batch_states(incoming, options.batch_size))
    with closing(_DecodingAhead(incoming, manifest.form, options.jobs, thumbnail_px)) as decoding:
        if not (output / unfinished.NAME).exists():  # else some batches may be finished already
            decoding.begin([files for files, _ in states])
        from belong.models.device import use_threads  # imported here: files are decoded meanwhile

        device = model.torch_device
        use_threads(THREADS)
        with one_writer(output / PREDICTIONS, say):
            if not options.overwrite:  # another run may have ended with it
                check_free(output, source, manifest.digest)
            with unfinished.unfinished(
                output, run_of(source, manifest.digest), BATCH_NAMES
            ) as folder:
                math = portable_math.current()
                overrides = f"{options.alpha} {options.guarantee} {options.fdr}"
                run = f"{manifest.digest} {options.batch_size} {device.type} {math} {overrides}"
                batches = [Batch(files, folder / _name(run, at)) for files, at in states]
                scored = _score_unfinished(batches, decoding, model, rule, options.jobs, observe)
                readable: list[str] = []
                pieces = _pieces(batches, incoming, printable(output), readable)
                if options.fdr is not None:
                    rule = _reporting_rule(batches, rule, options.fdr)
                    pieces = _with_verdicts(pieces, rule)
                counts = save_tables(output, pieces)
                save_ignored(output, incoming.ignored)
                seconds = time.perf_counter() - start
                summary = summary_of(counts, manifest, rule, fdr=options.fdr) | {
                    "ignored": len(incoming.ignored),
                    "source": source,
                    "seconds": round(seconds, 3),
                    "images_per_second": round(scored / seconds, 1),
                }
                save_json(output / SUMMARY, summary)
                if finish and readable:
                    finish(readable)
    if summary["images"] == 0:
        table = load_csv(output / UNREADABLE, "path", "reason", as_text=True)
        bad = list(table.itertuples(index=False, name=None))
        raise none_readable(source, bad, listed=output / UNREADABLE)
    return summary


def links_left_out(incoming: Incoming) -> str:
    """Return a line about links that are not followed, or ""."""
    count = sum(why == LEADS_OUT for _, why in incoming.shut)
    if not count:
        return ""
    links = counted(count, "link leads", "links lead")
    way = named("follow_links", value=True)
    return f"{printable(incoming.top)}: {links} out of the folder: not read without {way}"


# --- the batches of a run -----------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Files that are scored together, and the path of the file with their rows."""

    files: list[str]
    rows_path: Path

    def rows(self) -> list[list[str]] | None:
        """Return a row for each file of a finished batch, a short row for an unreadable file.

        Returns None for an unfinished batch. Rows are matched by position, as the printed names of
        two files may be equal.
        """
        try:
            rows = json.loads(read_bytes(self.rows_path, most=MOST_BYTES))
        except (OSError, ValueError, RecursionError):  # missing or damaged
            return None
        is_whole = isinstance(rows, list) and len(rows) == len(self.files)
        return rows if is_whole and all(map(_is_row, rows)) else None


def _is_row(row: object) -> bool:
    return isinstance(row, list) and len(row) in {OF_READ, OF_UNREAD}


def batch_states(incoming: Incoming, size: int) -> Iterator[tuple[list[str], str]]:
    """Yield the files of each batch, and a hash of their paths, sizes and modification times."""
    for at in range(0, len(incoming.files), size):
        files = incoming.files[at : at + size]
        state = [incoming.top, *((file, _state(incoming.top, file)) for file in files)]
        yield files, hashlib.sha256(json.dumps(state).encode()).hexdigest()


def _state(top: str, file: str) -> tuple[int, int] | None:
    """Return size and modification time of a file."""
    try:
        state = os.stat(os.path.join(top, file))  # noqa: PTH116, PTH118  (a Path is slow)
    except (OSError, ValueError):
        return None
    return state.st_size, state.st_mtime_ns


def _name(run: str, state: str) -> str:
    return hashlib.sha256(f"{run} {state}".encode()).hexdigest() + ".json"


def _score_unfinished(
    batches: list[Batch],
    decoding: "_DecodingAhead",
    model: Model,
    rule: VerdictRule,
    jobs: int,
    observe: Observer | None,
) -> int:
    """Score the unfinished batches; return the number of their files."""
    unfinished = [batch for batch in batches if batch.rows() is None]
    n, remaining = (sum(len(batch.files) for batch in group) for group in (batches, unfinished))
    images = decoding.of([batch.files for batch in unfinished])
    stopped = Event()
    with bar(n, "score", "image") as progress:
        progress.update(n - remaining)
        try:
            finish = partial(
                _finish, predictor=model.predictor, rule=rule, observe=observe, stopped=stopped
            )
            tasks = (partial(finish, *one) for one in zip(unfinished, images, strict=True))
            threads = threads_for(model.torch_device, jobs)
            with closing(in_threads(tasks, threads=threads, stopped=stopped)) as finished:
                for files in finished:
                    progress.update(files)
        except KeyboardInterrupt:
            done_count = sum(len(batch.files) for batch in batches if batch.rows_path.exists())
            raise KeyboardInterrupt(
                f"interrupted; {done_count} of {n} images are done; run the same command to resume"
            ) from None
    return remaining


def _finish(
    batch: Batch,
    answers: Answers,
    *,
    predictor: "Predictor",
    rule: VerdictRule,
    observe: Observer | None,
    stopped: Event,
) -> int:
    """Score a batch, and save its rows; return the number of its files."""
    predictions = predict_batch(
        batch.files, answers, predictor=predictor, rule=rule, observe=observe, stopped=stopped
    )
    rows = [
        row if one.is_readable else [one.path, one.reason]
        for row, one in zip(rows_of(predictions), predictions, strict=True)
    ]
    save_text(batch.rows_path, json.dumps(rows))
    return len(batch.files)


def _pieces(
    batches: list[Batch], incoming: Incoming, output: str, readable: list[str]
) -> Iterator[tuple[Rows, Rows]]:
    """Yield the rows of predictions.csv and unreadable.csv; append the files to `readable`."""
    for batch in batches:
        rows = batch.rows()
        if rows is None:
            raise InputError(
                f"{output}: {unfinished.NAME} was changed during the run; run the same command "
                "again"
            )
        readable += [
            file for file, row in zip(batch.files, rows, strict=True) if len(row) == OF_READ
        ]
        yield (
            [row for row in rows if len(row) == OF_READ],
            [row for row in rows if len(row) == OF_UNREAD],
        )
    yield [], [(in_table(folder), why) for folder, why in incoming.shut]


def _reporting_rule(batches: list[Batch], rule: VerdictRule, fdr: float) -> VerdictRule:
    """Return the rule with the false discovery rate `fdr` among all readable images."""
    column = COLUMNS.index("p_value")
    rows = (row for batch in batches for row in batch.rows() or ())
    p_values = [float(row[column]) for row in rows if len(row) == OF_READ]
    return reporting_rule(rule, np.array(p_values), fdr)


def _with_verdicts(
    pieces: Iterator[tuple[Rows, Rows]], rule: VerdictRule
) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pieces with the verdicts of `reporting_rule`, and their reasons."""
    for rows, unread in pieces:
        named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        p_values = np.array([float(row["p_value"]) for row in named])
        belongs = (~is_reported(rule, p_values)).tolist()
        for row, verdict in zip(named, belongs, strict=True):
            row |= {"belongs": str(verdict), "reason": restated(row, belongs=verdict)}
        yield [list(row.values()) for row in named], unread


# --- decoding ahead ----------------------------------------------------------------------------


class _DecodingAhead:
    """The images of batches of files, decoded before the unfinished batches are known."""

    def __init__(self, incoming: Incoming, form: ImageForm, jobs: int, thumbnail_px: int) -> None:
        self._incoming = incoming
        self._form = form
        self._jobs = jobs
        self._thumbnail_px = thumbnail_px
        self._begun: list[list[str]] = []
        self._images: Generator[Answers] | None = None

    def begin(self, batches: list[list[str]]) -> Generator[Answers]:
        """Start decoding the files of exactly these batches."""
        self.close()
        paths = ([self._incoming.path(file) for file in files] for files in batches)
        self._begun = batches
        self._images = decoded(paths, self._form, jobs=self._jobs, thumbnail_px=self._thumbnail_px)
        return self._images

    def of(self, batches: list[list[str]]) -> Generator[Answers]:
        """Return the images of each of these batches; restart if other batches were started."""
        if self._images is not None and batches == self._begun:
            return self._images
        return self.begin(batches)

    def close(self) -> None:
        """End the decoding."""
        if self._images is not None:
            self._images.close()
