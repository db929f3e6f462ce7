"""Decode image files in several processes, ahead of whoever takes them, in order.

Decoding small files is nearly all Python: threads would take turns with each other, with the import
of torch and with the networks. A file that brings its process down costs that file alone.
"""

import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle
from multiprocessing import current_process, parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from threading import RLock, Thread
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

import numpy as np

from belong.data.file_discovery import NOT_PIXELS
from belong.data.image_reader import Rgb, read_file
from belong.data.resize import Form, formed
from belong.data.thumbnail import SMALL_PX, thumbnail
from belong.data.unreadable import UnreadableError
from belong.runtime.parallel import in_order, parallel_map
from belong.runtime.progress import bar

if TYPE_CHECKING:
    import ctypes

    from belong.data.image_form import ImageForm  # 0.1 s to import, which each process would wait

R = TypeVar("R")

AHEAD = 2  # batches in memory: one at work, one being decoded
AHEAD_BYTES = 2**24  # or more of them, if their pixels take no more than this
AT_ONCE = 32  # files that are decoded in one go, at most
FEW = 32  # files that are decoded before a process has started
PER_PROCESSOR = 4  # processes, at most: some wait for a slow disk; more would only take memory
MOST = 61  # processes: Windows waits for no more of them at a time

ENDED = "the decoder ended while it read this file: damaged, or too large for the memory"

# A pool that broke, and one that can start no more processes.
UNUSABLE = (BrokenProcessPool, OSError)

# NumPy multiplies nothing in a decoder: its threads would lie idle. The folder that the program
# stands in may have modules of any name. Pillow warns of odd notes in files that it reads.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1", "PYTHONWARNINGS": "ignore"}


class Picture(NamedTuple):
    """The content of a file, in the form of a model.

    Attributes:
        pixels: (ch, h, w) uint8, of the first frame.
        frames: how many the file has.
        thumbnail: a JPEG of the photo as it is, not cut; empty of small images, or if none is
            asked for.
    """

    pixels: np.ndarray
    frames: int
    thumbnail: bytes = b""


Answers = list[Picture | str]  # of a file without pixels, the reason


@dataclass(frozen=True)
class Decoder:
    """Brings files to the pixels that a model takes.

    Attributes:
        form: of the pixels.
        background: lies below transparent parts.
        max_pixels: a larger file is not read.
        thumbnail_px: the longer side of the thumbnails, one of SIDES_PX; 0: none are made.
    """

    form: Form
    background: Rgb
    max_pixels: int
    thumbnail_px: int = 0

    @classmethod
    def of(cls, form: "ImageForm", *, thumbnail_px: int = 0) -> Self:
        """Return the decoder for the form of a model."""
        size = Form(form.height, form.width, form.color)
        return cls(size, form.background, form.max_pixels, thumbnail_px)

    def decode(self, path: Path) -> Picture | str:
        """Return the pixels of a file, or the reason why it has none."""
        end = path.suffix.lower()
        if end in NOT_PIXELS:
            return f"{end} is not read; save it as JPEG or PNG"
        read = partial(read_file, path, max_pixels=self.max_pixels, background=self.background)
        try:
            content = read(needed_px=max(self.form.height, self.form.width))
        except UnreadableError as error:
            return str(error)
        # Many cameras write a second picture behind a JPEG, which is no second frame.
        frames = 1 if content.kind == "MPO" else content.frames
        small = b""
        if self.thumbnail_px and max(content.size) > SMALL_PX:
            # A JPEG that was decoded smaller than its thumbnail is decoded once more: what is
            # scored does not depend on the page.
            shown = content.image
            if max(shown.size) < min(self.thumbnail_px, max(content.size)):
                with suppress(UnreadableError):
                    shown = read(needed_px=self.thumbnail_px).image
            small = thumbnail(shown, side_px=self.thumbnail_px)
        return Picture(formed(content.image, self.form), frames, small)

    def decode_all(self, paths: Sequence[Path]) -> Answers:
        """Return what `decode` returns, of each file."""
        return [self.decode(path) for path in paths]


def each_image(
    work: Callable[[int], R], count: int, what: str, *, jobs: int | None = None
) -> list[R]:
    """Return `work(0)` to `work(count - 1)`, which read images, computed by threads.

    Photos take no longer than in processes: Pillow decodes outside of Python's lock.

    Args:
        work: reads an image.
        count: n images.
        what: the label of the progress bar.
        jobs: threads; all processors, if none is given.
    """
    results = []
    # The filter of warnings holds for all threads, so it is set around them.
    with warnings.catch_warnings(), bar(count, what, "image") as progress:
        warnings.simplefilter("ignore")
        for result in parallel_map(work, range(count), jobs=jobs):
            results.append(result)
            progress.update()
    return results


def decoded(
    batches: Iterable[Sequence[Path]], form: "ImageForm", *, jobs: int, thumbnail_px: int = 0
) -> Generator[Answers]:
    """Yield for each batch the pictures of its files.

    Args:
        batches: the files. Those ahead are asked for at once, and decoded while nobody takes them.
        form: of the pixels.
        jobs: processes that decode; threads, if the files are few or no process can be started.
        thumbnail_px: see `Decoder`.
    """
    rest = iter(batches)
    first: list[Sequence[Path]] = []
    while sum(map(len, first)) <= FEW and (batch := next(rest, None)) is not None:
        first.append(batch)
    jobs = min(jobs, PER_PROCESSOR * (os.cpu_count() or 1), MOST)
    size = max(map(len, first), default=1)
    step = max(1, min(AT_ONCE, size // (2 * jobs)))
    ahead = max(AHEAD * size, AHEAD_BYTES // (form.channels * form.height * form.width))
    pieces = -(-ahead // step)
    is_few = sum(map(len, first)) <= FEW
    decoder = Decoder.of(form, thumbnail_px=thumbnail_px)
    pool = _Pool(decoder, jobs, files=pieces * step, is_few=is_few)
    images = _in_order(chain(first, rest), pool, step=step, pieces=pieces)
    next(images)  # begin
    return images


class _Piece(NamedTuple):
    """Files of one batch that are decoded in one go."""

    paths: Sequence[Path]
    at: int  # where their pixels begin in the buffer
    is_last: bool  # of its batch


def _in_order(
    batches: Iterable[Sequence[Path]], pool: "_Pool", *, step: int, pieces: int
) -> Generator[Answers]:
    """Yield nothing once decoding has begun, and then the pictures of each batch.

    Args:
        batches: the files.
        pool: decodes them.
        step: files that are decoded in one go.
        pieces: how often so many are in memory. A piece is begun when that so many before it is
            taken, and so finds its part of the buffer free.
    """
    parts = cycle(range(0, pieces * step, step))
    divided = (
        _Piece(batch[at : at + step], next(parts) * pool.size, at + step >= len(batch))
        for batch in batches
        for at in range(0, len(batch), step)
    )
    # The filter of warnings holds for all threads, so it is set around them.
    with closing(pool), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begun = in_order(pool.submit, divided, ahead=pieces)
        yield []
        answers: Answers = []
        for piece, future in begun:
            answers += pool.answers(piece, future)
            if piece.is_last:
                yield answers
                answers = []


# --- processes -----------------------------------------------------------------------------------

# Of each file its frames and its thumbnail, or the reason why it has no pixels.
Notes = list[tuple[int, bytes] | str]

# In a process of the pool: memory that it shares with its parent. The first byte says that nobody
# takes any more; pixels follow. Through a pipe, a process that is killed would leave half of them.
_shared = np.zeros(1, np.uint8)
_starting = RLock()  # one thread at a time: the environment is that of all threads


def _begin(memory: "ctypes.Array[ctypes.c_ubyte]") -> None:
    """Prepare a process of the pool."""
    global _shared
    _shared = np.frombuffer(memoryview(memory), np.uint8)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # nobody takes what it has, and nobody would end it


def _fill(
    decoder: Decoder, paths: Sequence[Path], at: int, buffer: np.ndarray | None = None
) -> Notes:
    """Decode files into the buffer, or the shared one, from byte `at` on."""
    to = _shared if buffer is None else buffer
    shape = decoder.form.channels, decoder.form.height, decoder.form.width
    notes: Notes = []
    for path in paths:
        if to[0]:
            raise CancelledError
        answer = decoder.decode(path)
        end = at + math.prod(shape)
        if isinstance(answer, str):
            notes.append(answer)
        else:
            to[1 + at : 1 + end].reshape(shape)[:] = answer.pixels
            notes.append((answer.frames, answer.thumbnail))
        at = end
    return notes


@contextmanager
def _quietly() -> Iterator[None]:
    """Start processes that import no more than decoding needs, print nothing and mind no Ctrl-C.

    A process would run the script of its parent again, which need not be written for that.
    """
    main, environment = sys.modules["__main__"], dict(os.environ)
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ.update(ENVIRONMENT)
    has_masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if has_masks else None
    try:
        yield
    finally:
        for name in ENVIRONMENT:
            os.environ.pop(name)
        os.environ.update(environment)
        sys.modules["__main__"] = main
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Process(SpawnProcess):
    def start(self) -> None:
        self.daemon = True  # whatever happens here, the program ends without it
        with _starting, _quietly():
            super().start()


class _Context(SpawnContext):
    Process = _Process


class _Pool:
    """Workers that decode; where one ends, another goes on with its files, but for the guilty one.

    Each is a process, or a thread where the files are few or no process can be started. Each is an
    executor of its own: the others need not end with one that does, as in an executor of several.

    Attributes:
        size: bytes of a picture.
    """

    def __init__(self, decoder: Decoder, jobs: int, *, files: int, is_few: bool) -> None:
        """Start nothing; there will be at most so many files in memory."""
        self._decoder = decoder
        self._shape = decoder.form.channels, decoder.form.height, decoder.form.width
        self.size = math.prod(self._shape)
        self._context = _Context()
        self._can_start = not (
            is_few
            or hasattr(sys, "frozen")  # there is no interpreter to start
            or current_process().daemon  # which may have no children
        )
        self._memory = self._context.RawArray("B", 1 + files * self.size)
        self._buffer = np.frombuffer(memoryview(self._memory), np.uint8)
        self._started: list[Executor] = []
        self._workers = [self._start() for _ in range(jobs)]
        self._waiting: list[set[Future[Notes]]] = [set() for _ in range(jobs)]
        self._another: Executor | None = None  # decodes what a worker ended over

    def submit(self, piece: _Piece) -> "Future[Notes]":
        """Begin to decode, by the worker that has the least to do."""
        waiting = min(self._waiting, key=len)
        worker = self._waiting.index(waiting)
        try:
            future = self._filled(self._workers[worker], piece.paths, piece.at)
        except UNUSABLE as error:
            self._can_start &= isinstance(error, BrokenProcessPool)
            self._workers[worker] = self._start()
            return self.submit(piece)
        waiting.add(future)
        future.add_done_callback(waiting.discard)
        return future

    def answers(self, piece: _Piece, future: "Future[Notes]") -> Answers:
        """Wait for the pictures of a piece."""
        try:
            notes = future.result()
        except BrokenProcessPool:  # over one of its files, or over others that were at work
            notes = self._retried(piece.paths, piece.at)
        start = 1 + piece.at
        pixels = self._buffer[start : start + len(notes) * self.size].copy()
        pictures = pixels.reshape(-1, *self._shape)
        return [
            note if isinstance(note, str) else Picture(picture, *note)
            for note, picture in zip(notes, pictures, strict=True)
        ]

    def close(self) -> None:
        """End soon: after the files that are being decoded."""
        self._buffer[0] = True
        for pool in self._started:
            pool.shutdown(cancel_futures=True)

    def _start(self) -> Executor:
        worker: Executor | None = None
        if self._can_start:
            try:
                with _starting, _quietly():
                    worker = ProcessPoolExecutor(
                        1, mp_context=self._context, initializer=_begin, initargs=(self._memory,)
                    )
            except (ImportError, NotImplementedError, OSError):  # the system has no semaphores
                self._can_start = False
        worker = worker or ThreadPoolExecutor(1)
        self._started.append(worker)
        return worker

    def _filled(self, pool: Executor, paths: Sequence[Path], at: int) -> "Future[Notes]":
        own = self._buffer if isinstance(pool, ThreadPoolExecutor) else None
        return pool.submit(_fill, self._decoder, paths, at, own)

    def _retried(self, paths: Sequence[Path], at: int) -> Notes:
        """Decode files by another worker: together, and if it ends, one by one."""
        notes = self._by_another(paths, at)
        if notes is None and len(paths) == 1:
            notes = self._by_another(paths, at) or [ENDED]  # somebody may have killed the first
        if notes is not None:
            return notes
        each = enumerate(paths)
        return [note for i, path in each for note in self._retried([path], at + i * self.size)]

    def _by_another(self, paths: Sequence[Path], at: int) -> Notes | None:
        """Decode files by a worker that has no others; return None if it ends over them."""
        try:
            if self._another is None:
                self._another = self._start()
                self._filled(self._another, [], at).result()
        except UNUSABLE:  # it ends over nothing: no process can be started here
            self._can_start = False
            self._another = self._start()
        try:
            return self._filled(self._another, paths, at).result()
        except BrokenProcessPool:
            self._another = None
            return None
