"""A monitored disk: kills at any change of it, and the effect of a power failure."""

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import BaseFileLock, FileLock
from safetensors.numpy import save_file

from belong.runtime import process_lock, storage

# What changes a disk: module, function.
CHANGES = [
    (os, name)
    for name in ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "symlink", "utime")
]


class KilledError(BaseException):
    """Simulates a killed process: nothing after this reaches the disk."""


@contextmanager
def killed_at(change: int) -> Iterator[None]:
    """Let the process do so many changes of the disk, and kill it at the next.

    A file that is opened to be written counts as one, with nothing in it yet; what a killed process
    has locked is free again.
    """
    changes_left, locks = change, list[BaseFileLock]()

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*words: Any, **options: Any) -> Any:
            nonlocal changes_left
            if not changes_left:
                raise KilledError
            changes_left -= 1
            return act(*words, **options)

        return counting

    def opened(file: Any, mode: str = "r", *words: Any, **options: Any) -> Any:
        is_read = not set(mode) & set("wax+")
        return (io_open if is_read else counted(io_open))(file, mode, *words, **options)

    def os_opened(path: Any, flags: int, *words: Any, **options: Any) -> int:
        is_read = flags & os.O_ACCMODE == os.O_RDONLY
        number: int = (os_open if is_read else counted(os_open))(path, flags, *words, **options)
        return number

    def lock(*words: Any, **options: Any) -> BaseFileLock:
        locks.append(file_lock(*words, **options))
        return locks[-1]

    io_open, os_open, file_lock = io.open, os.open, FileLock
    with pytest.MonkeyPatch.context() as patch:
        for module, name in CHANGES:
            patch.setattr(module, name, counted(getattr(module, name)))
        patch.setattr(io, "open", opened)
        patch.setattr(os, "open", os_opened)
        patch.setattr(storage, "save_file", counted(save_file))
        patch.setattr(process_lock, "FileLock", lock)
        try:
            yield
        finally:
            for one in locks:
                one.release(force=True)


@contextmanager
def synced() -> Iterator[Callable[[Path], list[str]]]:
    """Yield a function that lists all paths of a folder that a power failure would damage."""
    synced_state: dict[tuple[int, int], object] = {}

    def fsync(file: int) -> None:
        state = os.fstat(file)
        if stat.S_ISDIR(state.st_mode):
            path = f"/proc/self/fd/{file}"
            synced_state[state.st_dev, state.st_ino] = {
                one.name: one.inode() for one in os.scandir(path)
            }
        else:
            synced_state[state.st_dev, state.st_ino] = (state.st_size, state.st_mtime_ns)

    def is_held(path: Path) -> bool:
        state = path.stat()
        synced_entry = synced_state.get((state.st_dev, state.st_ino))
        if not path.is_dir():
            return synced_entry == (state.st_size, state.st_mtime_ns)
        names = {one.name: one.inode() for one in os.scandir(path)}
        return isinstance(synced_entry, dict) and names.items() <= synced_entry.items()

    def spoiled(folder: Path) -> list[str]:
        every = [folder, *folder.rglob("*")]
        parent = folder.parent.stat()
        names = synced_state.get((parent.st_dev, parent.st_ino), {})
        is_named = isinstance(names, dict) and names.get(folder.name) == folder.stat().st_ino
        unsynced = [str(path.relative_to(folder)) for path in every if not is_held(path)]
        return sorted([*unsynced, *([] if is_named else [f"the name {folder.name}"])])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield spoiled
