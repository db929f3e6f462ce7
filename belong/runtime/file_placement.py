"""Put a file at another place: as a link, as a copy, or moved; never over what is there."""

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
PART = ".copying.part"  # one of a folder: what a killed process leaves is written over


def place(source: Path, target: Path, how: Literal["link", "copy"]) -> None:
    """Make a symbolic link at `target`, or copy the bytes and the time of change."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        target.symlink_to(source)
    else:
        shutil.copy2(source, target)


def place_whole(source: Path, target: Path, how: Placement) -> None:
    """Place a file so that a killed process leaves all of it or nothing at `target`.

    What is moved to another file system is copied, and removed when the disk holds the copy. A
    link is moved by its absolute name.

    Raises:
        InputError: something is at `target` already.
        OSError: the disk, or a permission.
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
    except OSError as error:  # a full disk: the system names no file
        error.filename = error.filename or str(target)
        raise
    finally:
        part.unlink(missing_ok=True)
