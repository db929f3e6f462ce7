"""Let one process at a time write a file, and none that outlived the run it belongs to.

DVC does not end a stage when it is killed itself. Without a lock the stage that is left would write
its output over that of the next run.
"""

import os
import re
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import BaseFileLock, FileLock, Timeout

from belong.runtime.errors import InputError
from belong.runtime.storage import make_folder, read_bytes
from belong.runtime.text import printable

RUNNERS = ("dvc", "python")  # the first process of a container may be the starter itself
SHELLS = {"bash", "dash", "fish", "ksh", "sh", "zsh"}
STEP_SECONDS = 0.2
UNKNOWN = "of unknown number"
LOCK = re.compile(rf"\d+|{UNKNOWN}")
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)  # not on Windows
LONGEST = 32  # bytes of a lock


@contextmanager
def one_writer(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Be the only process that writes `path` until the block ends.

    The lock is a file beside it, `.NAME.lock`. The system frees it when the process ends, however
    it ends; the file that a killed process leaves is taken over by the next one, of another user
    too.

    Args:
        path: what is going to be written.
        say: is told, in a line, which process has to end first.

    Raises:
        InputError: there is a link of this name, or a file that is no lock.
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
        with os.fdopen(os.open(file, os.O_RDWR | NO_LINK), "r+b") as content:
            content.truncate()
            content.write(b"%d\n" % os.getpid())
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
    file = Path(lock.lock_file)
    while not lock.is_locked:
        try:
            make_folder(file.parent)
            _check(file)
            lock.acquire(timeout=timeout)
        except (FileExistsError, FileNotFoundError):
            if file.parent.exists():  # it is no folder, or cannot be locked in
                raise
            # Else who had the lock has just taken its empty folder away.
        except PermissionError:
            if not os.access(file.parent, os.W_OK):
                raise
            _remove_left(file, timeout)


def _check(file: Path) -> None:
    """Refuse what is no lock of ours: whatever it is, or names, would be written over."""
    try:
        state = file.lstat()
    except FileNotFoundError:
        return
    kind = "a link" if stat.S_ISLNK(state.st_mode) else "no file"
    if stat.S_ISREG(state.st_mode):
        # A lock of another user need not be readable, but is no longer than a number.
        if state.st_size <= LONGEST and LOCK.fullmatch(_owner(file)):
            return
        kind = "no lock of belong"
    raise InputError(f"{printable(file)}: is {kind}; remove it, or write to another place")


def _remove_left(file: Path, timeout: float) -> None:
    """Remove the lock that a process of another user left, which may be read and not written.

    Raises:
        Timeout: that process still runs; PermissionError: the file may not be removed.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | NO_LINK)
    except FileNotFoundError:
        return
    try:
        import fcntl  # not on Windows, where `os.open` has failed

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink(missing_ok=True)
    except BlockingIOError:
        if timeout == 0:
            raise Timeout(str(file)) from None
        time.sleep(STEP_SECONDS)
    finally:
        os.close(descriptor)


def _owner(file: Path) -> str:
    try:
        return read_bytes(file).decode("ascii", "replace").strip() or UNKNOWN
    except OSError:
        return UNKNOWN


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
