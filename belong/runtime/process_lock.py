"""Let one process at a time write a file, and none that outlived the run it belongs to.

DVC does not end a stage when it is killed itself. Without a lock the stage that is left would write
its output over that of the next run.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import BaseFileLock, FileLock, Timeout

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
    file = path.with_name(f".{path.name}.lock")
    is_new = not path.parent.exists()
    lock = FileLock(file, poll_interval=STEP_SECONDS)
    try:
        try:
            _acquire(lock, timeout=0)
        except Timeout:
            say(f"{path}: waits for process {_owner(file)}, which writes it")
            _acquire(lock, timeout=-1)
        file.write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        if lock.is_locked:
            with suppress(PermissionError):  # Windows removes no file that is open
                file.unlink(missing_ok=True)
            lock.release(force=True)
        if is_new:
            with suppress(OSError):  # it is not empty: the output is there
                path.parent.rmdir()


def _acquire(lock: BaseFileLock, *, timeout: float) -> None:
    folder = Path(lock.lock_file).parent
    while not lock.is_locked:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=timeout)
        except (FileExistsError, FileNotFoundError):
            if folder.exists():  # it is no folder, or cannot be locked in
                raise
            # Else who had the lock has just taken its empty folder away.


def _owner(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip() or "of unknown number"
    except OSError:
        return "of unknown number"


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
