"""Process each file in a worker process with limits of time and memory.

A file may take SECONDS of processor time and BYTES of memory in addition to those of the process. A
process that exceeds a limit, or crashes, is replaced by another one, which continues with the next
file. If no process can be started, threads do the work, without these limits.
"""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from multiprocessing import current_process, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from threading import Lock, RLock, Thread
from types import ModuleType
from typing import Any, Generic, TypeVar

from belong.data.unreadable import TOO_LARGE
from belong.runtime.parallel import in_order

T = TypeVar("T")
R = TypeVar("R")

SECONDS = 10  # processor time per file
STALLED_SECONDS = 120  # elapsed time per file, for a disk that does not respond
BYTES = 2**30  # memory per file
PER_PROCESSOR = 4  # maximum number of processes per processor, as some wait for a slow disk
AT_ONCE = 8  # files per task of a process

TOO_SLOW = f"decoding takes more than {SECONDS} s of processor time"
STALLED = f"not read within {STALLED_SECONDS} s"
ENDED = "the decoder crashed on this file, which may be damaged or need too much memory"

# NumPy multiplies no matrices in a decoder, so its threads would be idle. The current folder may
# have modules of any name. Pillow warns of unusual metadata in readable files.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1", "PYTHONWARNINGS": "ignore"}


class Workers(Generic[T, R]):
    """Worker processes that apply one function to one file after another.

    `work` returns a result, or the reason for a failure as text; a file that exceeds a limit also
    yields a reason. `work` is pickled: it must be a function or an object of a module.
    """

    def __init__(self, work: Callable[[T], R], jobs: int) -> None:
        """Set the maximum number of processes; none is started yet."""
        self._work = work
        jobs = max(1, min(jobs, PER_PROCESSOR * (os.cpu_count() or 1)))
        self._threads = ThreadPoolExecutor(jobs)  # one thread waits for each process
        self._jobs = jobs
        self._free: list[_Worker] = []
        self._started: list[_Worker] = []
        self._waiting = 0
        self._lock = Lock()
        self._is_closed = False

    def submit(self, items: Sequence[T]) -> "Future[list[R | str]]":
        """Queue items in order; start another process if all are busy."""
        with self._lock:
            if self._waiting >= len(self._started) < self._jobs:
                worker = _spare()
                self._started.append(worker)
                self._free.append(worker)
            self._waiting += 1
        return self._threads.submit(self._answers, items)

    def close(self) -> None:
        """End all processes except one idle process, which the next run reuses."""
        self._is_closed = True
        is_idle = not self._waiting
        if not is_idle:
            for worker in self._started:
                worker.stop()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._started:
            if is_idle:
                _keep(worker)
            else:
                worker.end()  # only now, as no thread reads from its connection any more

    def _answers(self, items: Sequence[T]) -> list[R | str]:
        with self._lock:
            worker = self._free.pop()
        try:
            return self._by(worker, items)
        finally:
            with self._lock:
                self._free.append(worker)
                self._waiting -= 1

    def _by(self, worker: "_Worker", items: Sequence[T]) -> list[R | str]:
        answers: list[R | str] = []
        crashed = -1  # the item at which a process has ended once; it may have been killed
        while len(answers) < len(items):
            remaining = items[len(answers) :]
            is_ready = worker.is_ready()
            if self._is_closed:
                raise CancelledError
            if not is_ready:
                answers += [self._work(item) for item in remaining]
                break
            try:
                for answer in worker.answers(self._work, remaining):
                    if isinstance(answer, Exception):
                        raise answer
                    answers.append(answer)
            except _EndedError as error:
                if error.reason:
                    answers.append(error.reason)
                elif crashed == len(answers):
                    answers.append(ENDED)
                crashed = len(answers)
        return answers


def each_item(
    work: Callable[[T], R], items: Iterable[T], *, jobs: int | None = None, count: int
) -> Generator[R | str]:
    """Yield `work(item)` of each of `count` items, in order, see `Workers`.

    Args:
        work: see `Workers`.
        items: an iterable, read ahead.
        jobs: number of processes; default: one per processor.
        count: number of items.
    """
    jobs = min(jobs or os.cpu_count() or 1, -(-count // AT_ONCE))
    with closing(Workers(work, jobs)) as workers:
        for _, answers in in_order(workers.submit, _pieces(items), ahead=4 * max(1, jobs)):
            yield from answers.result()


def _pieces(items: Iterable[T]) -> Iterator[list[T]]:
    piece: list[T] = []
    for item in items:
        piece.append(item)
        if len(piece) == AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece


# --- in this process -----------------------------------------------------------------------------


class _EndedError(Exception):
    """A process has ended; `reason` is "" if the reason is unknown."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Worker:
    """A worker process, which is started again after it has ended."""

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._connection: Connection[Any, Any] | None = None
        self._is_greeted = False
        self._is_closed = False
        self.owner = os.getpid()
        self._start()

    def is_ready(self) -> bool:
        """Wait until a process is ready; return False if none can be started."""
        for _ in range(2):
            if self._connection is None:
                self._start()
            if self._connection is None:
                return False
            if self._is_greeted:
                return True
            with suppress(EOFError, OSError):
                if self._connection.poll(STALLED_SECONDS):
                    self._is_greeted = self._connection.recv()
                    return True
            self.end()
        return False

    def answers(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R | Exception]:
        """Yield the answer to each item.

        Raises:
            _EndedError: the process has ended at the next item.
        """
        connection = self._connection
        if connection is None:
            raise _EndedError("")
        try:
            connection.send((work, items, _folder()))
            for _ in items:
                if not connection.poll(STALLED_SECONDS):
                    self.end()
                    raise _EndedError(STALLED)
                yield connection.recv()
        except (EOFError, OSError):
            raise _EndedError(self._reason()) from None

    def end(self) -> None:
        """End the process now."""
        process, self._process, connection = self._process, None, self._connection
        self._connection, self._is_greeted = None, False
        if process is not None:
            process.kill()
            process.join()
        if connection is not None:
            connection.close()

    def stop(self) -> None:
        """Kill the process, and do not start it again; any thread may call this.

        The thread that waits for an answer then finds the connection closed by the process. `end`
        closes our side: meanwhile another file could get its number, and the thread would read it.
        """
        with _starting:
            self._is_closed = True
            process = self._process
            if process is not None:
                process.kill()

    def _reason(self) -> str:
        """Return the reason why the process has ended, or "" if it is unknown."""
        process = self._process
        if process is not None:
            process.join(1)
        is_slow = process is not None and process.exitcode == -_clock_signal()
        self.end()
        return TOO_SLOW if is_slow else ""

    def _start(self) -> None:
        # Possible reasons: no interpreter, no semaphores, or a daemon, which has no children.
        if hasattr(sys, "frozen") or current_process().daemon:
            return
        try:
            with _starting, _quietly():
                if self._is_closed:
                    return
                ours, other = CONTEXT.Pipe()
                process = CONTEXT.Process(target=_serve, args=(other,), daemon=True)
                process.start()
                other.close()
                self._process, self._connection = process, ours
        except (ImportError, NotImplementedError, OSError):
            return


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # the current folder is removed
        return "."


def _clock_signal() -> int:
    return int(getattr(signal, "SIGPROF", 0))  # Windows has none


CONTEXT = SpawnContext()
_starting = RLock()  # one thread at a time, as all threads share the environment
_idle: list[_Worker] = []  # at most one idle worker


def _spare() -> _Worker:
    """Return the idle worker of an earlier run, or a new one."""
    with suppress(IndexError):
        worker = _idle.pop()
        if worker.owner == os.getpid():  # otherwise it belongs to the parent of a forked process
            return worker
    return _Worker()


def _keep(worker: _Worker) -> None:
    if _idle:
        worker.end()
    else:
        _idle.append(worker)


@contextmanager
def _quietly() -> Iterator[None]:
    """Start processes that import only decoders, print nothing and ignore Ctrl-C.

    Otherwise a process would run the user's script again, which may not be written for that.
    """
    main, environment = sys.modules["__main__"], dict(os.environ)
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ.update(ENVIRONMENT)
    before = None
    try:
        if hasattr(signal, "pthread_sigmask"):  # not on Windows
            # The first process of a program starts this one too, which then unblocks SIGINT.
            ensure_running()
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        for name in ENVIRONMENT:
            os.environ.pop(name)
        os.environ.update(environment)
        sys.modules["__main__"] = main
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- in the process of a worker ------------------------------------------------------------------


def _serve(connection: "Connection[Any, Any]") -> None:
    """Process items until the connection is closed."""
    Thread(target=_end_with_parent, daemon=True).start()
    _bound_memory()
    with suppress(AttributeError):  # Windows has no such signal
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # it ends the process at any time
    with suppress(EOFError, OSError):
        connection.send(True)
        while True:
            work, items, folder = connection.recv()
            with suppress(OSError):  # relative paths refer to the current folder of the program
                os.chdir(folder)
            for item in items:
                connection.send(_bounded(work, item))


def _bounded(work: Callable[[T], R], item: T) -> R | str | Exception:
    set_clock(SECONDS)
    try:
        return work(item)
    except MemoryError:
        return TOO_LARGE
    except Exception as error:
        return error
    finally:
        set_clock(0)


def set_clock(seconds: float) -> None:
    """End this process after the given processor time in seconds; 0: never."""
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _bound_memory() -> None:
    """Limit the additional memory of this process to BYTES; only on Linux."""
    try:
        import resource  # not on Windows

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        bound = pages * resource.getpagesize() + BYTES
        limits = [limit for limit in (bound, soft, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    except (ImportError, OSError, ValueError):
        return


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # the parent is gone, and cannot end this process
