"""Link, copy or move a file, without overwriting another file."""

import errno
import filecmp
import os
import shutil
from pathlib import Path
from typing import Literal

from belong.runtime.errors import InputError
from belong.runtime.storage import make_folder, sync
from belong.runtime.text import printable

Placement = Literal["link", "copy", "move"]
PART = ".copying.part"  # one per folder; the next copy overwrites that of a killed process


def place(source: Path, target: Path, how: Literal["link", "copy"]) -> None:
    """Create a symbolic link at `target`, or copy the bytes and the modification time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        target.symlink_to(source)
    else:
        shutil.copy2(source, target)


def place_whole(source: Path, target: Path, how: Placement) -> None:
    """Place a file so that a killed process leaves a complete file, or none, at `target`.

    A move to another file system copies the file, and removes it when the copy is on the disk. A
    moved link refers to the absolute path of its target.

    Raises:
        InputError: `target` exists.
        OSError: the disk is full, or a permission is missing.
    """
    if os.path.lexists(target):
        raise InputError(f"{printable(target)}: exists already; nothing is written over it")
    make_folder(target.parent)
    if how == "link":
        place(source, target, "link")
    elif how == "copy":
        _copy(source, target)
    elif source.is_symlink():
        place(Path(os.path.realpath(source)), target, "link")
        sync(target.parent)
        source.unlink()
    else:
        try:
            source.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(source, target)
            source.unlink()


def is_copy(one: Path, other: Path) -> bool:
    """Return whether two files have the same bytes."""
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(PART)
    try:
        part.unlink(missing_ok=True)
        place(source, part, "copy")
        sync(part)
        part.rename(target)
        sync(target.parent)
    except OSError as error:  # the error of a full disk has no file name
        error.filename = error.filename or str(target)
        raise
    finally:
        part.unlink(missing_ok=True)
