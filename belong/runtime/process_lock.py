"""Lock a file for one writer, and end a process whose parent is gone.

DVC does not end its stage when DVC itself is killed. Without a lock the orphaned stage would
overwrite the output of the next run.
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

RUNNERS = ("dvc", "python")  # in a container, process 1 may be the parent itself
SHELLS = {"bash", "dash", "fish", "ksh", "sh", "zsh"}
STEP_SECONDS = 0.2
ATTEMPTS = 5  # to create a lock that is not there: its owner may just have removed it
UNKNOWN = "of unknown number"
LOCK = re.compile(rf"\d+|{UNKNOWN}")
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)  # absent on Windows
LONGEST = 32  # maximum size of a lock in bytes


@contextmanager
def one_writer(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock on `path` until the block ends.

    The lock is the file `.NAME.lock` beside `path`. The system releases it when the process ends,
    for any reason. The next process, of any user, takes over the lock of a killed process.

    Args:
        path: the file or folder to be written.
        say: prints which process holds the lock, if this call has to wait.

    Raises:
        InputError: the lock's name is taken by a link, or by a file that is no lock.
    """
    file = path.with_name(f".{path.name}.lock")
    is_new = not path.parent.exists()
    lock = FileLock(file, poll_interval=STEP_SECONDS)
    try:
        try:
            _acquire(lock, timeout=0)
        except Timeout:
            if not os.path.lexists(file):  # gone in this moment, or it cannot be created
                os.close(os.open(file, os.O_CREAT | os.O_RDWR | NO_LINK))
            say(f"{path}: waiting for process {_owner(file)}, which is writing it")
            _acquire(lock, timeout=-1)
        with os.fdopen(os.open(file, os.O_RDWR | NO_LINK), "r+b") as content:
            content.truncate()
            content.write(b"%d\n" % os.getpid())
        yield
    finally:
        if lock.is_locked:
            with suppress(PermissionError):  # Windows does not remove an open file
                file.unlink(missing_ok=True)
            lock.release(force=True)
        if is_new:
            with suppress(OSError):  # not empty: the output was written
                path.parent.rmdir()


def _acquire(lock: BaseFileLock, *, timeout: float) -> None:
    file, attempts = Path(lock.lock_file), ATTEMPTS
    while not lock.is_locked:
        try:
            make_folder(file.parent)
            _check(file)
            lock.acquire(timeout=timeout)
        except (FileExistsError, FileNotFoundError):
            if file.parent.exists():  # not a folder, or a folder without locks
                raise
            # Otherwise the previous owner of the lock has just removed its empty folder.
        except PermissionError:
            attempts -= not _remove_left(file, timeout)
            if not attempts or not os.access(file.parent, os.W_OK):
                raise


def _check(file: Path) -> None:
    """Refuse a file or link that is no lock of belong, which would be overwritten."""
    try:
        state = file.lstat()
    except FileNotFoundError:
        return
    kind = "a link" if stat.S_ISLNK(state.st_mode) else "no file"
    if stat.S_ISREG(state.st_mode):
        # Another user's lock may be unreadable, but it is no longer than a number.
        if state.st_size <= LONGEST and LOCK.fullmatch(_owner(file)):
            return
        kind = "no lock of belong"
    raise InputError(f"{printable(file)}: is {kind}; remove it, or choose another output")


def _remove_left(file: Path, timeout: float) -> bool:
    """Remove a stale lock of another user, which is readable but not writable.

    Returns:
        Whether there was a lock. If there is none, again and again, this user may not create one.

    Raises:
        Timeout: the other process still runs.
        PermissionError: the file may not be removed.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | NO_LINK)
    except FileNotFoundError:
        return False
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
    return True


def _owner(file: Path) -> str:
    try:
        return read_bytes(file).decode("ascii", "replace").strip() or UNKNOWN
    except OSError:
        return UNKNOWN


def end_with_starter() -> None:
    """Send SIGTERM to this process as soon as the process that started it has ended.

    Shells in between are skipped: some run until the command ends, others are replaced by it.
    """
    parents = psutil.Process().parents()
    starter = next((parent for parent in parents if _name(parent) not in SHELLS), None)
    threading.Thread(target=_end_after, args=(starter,), daemon=True).start()


def _end_after(starter: psutil.Process | None) -> None:
    while starter is not None and not _has_ended(starter):
        time.sleep(STEP_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _has_ended(process: psutil.Process) -> bool:
    try:
        if process.pid == 1 and not _name(process).startswith(RUNNERS):
            return True  # this process is an orphan: the starter ended before the first look
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""
