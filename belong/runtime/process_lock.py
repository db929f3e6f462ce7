"""Let one process at a time write a file, and none that outlived the run it belongs to.

DVC does not end a stage when it is killed itself. Without a lock the stage that is left would write
its output over that of the next run.
"""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

RUNNERS = ("dvc", "python")  # the first process of a container may be the starter itself
SHELLS = {"bash", "dash", "fish", "ksh", "sh", "zsh"}
STEP_SECONDS = 0.2


@contextmanager
def one_writer(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Be the only process that writes `path` until the block ends.

    The lock is a file beside it, `.NAME.lock`. The system frees it when the process ends, however
    it ends; the file that a killed process leaves is taken over by the next one.

    Args:
        path: what is going to be written.
        say: is told, in a line, which process has to end first.
    """
    lock = path.with_name(f".{path.name}.lock")
    is_new = not lock.parent.exists()
    try:
        with _held(lock, lambda other: say(f"{path}: waits for process {other}, which writes it")):
            yield
    finally:
        if is_new:
            with suppress(OSError):  # it is not empty: the output is there
                lock.parent.rmdir()


@contextmanager
def _held(lock: Path, wait: Callable[[str], None]) -> Iterator[None]:
    file = _locked(lock, wait)
    while not _is_still(lock, file):  # who had it has removed it: it keeps nobody out
        file.close()
        file = _locked(lock, wait)
    with file:
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _locked(lock: Path, wait: Callable[[str], None]) -> IO[str]:
    lock.parent.mkdir(parents=True, exist_ok=True)  # who had it may have taken an empty one away
    file = lock.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        wait(file.read().strip() or "of unknown number")
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _is_still(lock: Path, file: IO[str]) -> bool:
    try:
        return lock.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def end_with_starter() -> None:
    """Interrupt this process, as SIGTERM does, as soon as the one that started it is gone.

    A shell between the two is passed over: some stay until the command ends, others become it.
    """
    starter = next((one for one in psutil.Process().parents() if _name(one) not in SHELLS), None)
    threading.Thread(target=_end_after, args=(starter,), daemon=True).start()


def _end_after(starter: psutil.Process | None) -> None:
    while starter is not None and not _is_over(starter):
        time.sleep(STEP_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _is_over(process: psutil.Process) -> bool:
    try:
        if process.pid == 1 and not _name(process).startswith(RUNNERS):
            return True  # an orphan's parent: the starter was gone before anybody looked
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""
