"""Lock the working folder of a driver, and remove the files of earlier drivers."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from belong.runtime.errors import InputError
from reproduction.grid.orphans import end_processes_in


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """Yield the empty folder `folder`/clones, locked until the block ends.

    Raises:
        InputError: another driver is running.
    """
    clones = folder / "clones"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", blocking=False)  # the system frees it, come what may
    try:
        held_lock = lock.acquire()
    except Timeout:
        raise InputError(f"{folder}: another grid is running here; wait for its end") from None
    with held_lock:
        # A driver that was killed leaves workers running, on cells that are about to run again.
        end_processes_in(clones)
        shutil.rmtree(clones, ignore_errors=True)
        clones.mkdir()
        yield clones
