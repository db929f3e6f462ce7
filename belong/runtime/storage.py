"""Write files whole or not at all; keep arrays as safetensors.

Everything that a program leaves behind goes through here. A file appears under its name only
when it is complete and on the disk, so an interruption or a power failure leaves the last good one
in place. What a killed process was writing stays under a name that starts with a dot, until the
same file is written again.
"""

import csv
import errno
import glob
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import numpy as np
import psutil
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from belong.runtime.errors import InputError, MissingFileError
from belong.runtime.parallel import parallel_map

if TYPE_CHECKING:
    import pandas as pd

NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)  # not on Windows, which has no pipes with names
SYNCED_AT_ONCE = 16  # files: a disk writes many in the time of one
HAS_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)  # a file system without a disk behind it
ENDS = "\r\n"  # what makes `csv` quote a cell with either


class Lines:
    """A file in which each row ends with a line feed alone."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, row: str) -> int:
        """Write what `csv` makes of a row: it calls this once for each."""
        return self.file.write(row.removesuffix(ENDS) + "\n")


def save_rows(file: TextIO, rows: Iterable[Iterable[object]]) -> None:
    """Write rows into a file that was opened with `newline=""`."""
    csv.writer(Lines(file), lineterminator=ENDS).writerows(rows)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` if the block succeeds."""
    part = _part_of(path)
    try:
        yield part
        _put(part, path)
    except OSError as error:
        if error.strerror and error.filename is None:  # a full disk: the system names no file
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; put it in the place of `path` if the block succeeds."""
    part, old = _part_of(path), _part_of(path.with_name(path.name + ".old"))
    part.mkdir()
    try:
        yield part
        put_folder(part, path, old=old)
        remove_folder(old)
    finally:
        remove_folder(part)


def put_folder(folder: Path, path: Path, *, old: Path | None = None) -> None:
    """Rename a folder to `path` as soon as the disk holds all that is in it.

    What is at `path` is renamed to `old`.
    """
    for _ in parallel_map(sync, _below(folder), jobs=SYNCED_AT_ONCE):
        pass
    if old is not None and path.exists():
        path.replace(old)
        try:
            _put(folder, path)
        except BaseException:
            old.replace(path)
            raise
    else:
        _put(folder, path)


def make_folder(path: Path) -> None:
    """Make a folder and those above it; the disk holds their names."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all in it, however deep, as far as that is allowed."""
    if not folder.is_dir():
        return
    with suppress(OSError):
        for path in reversed(_below(folder)):  # `shutil.rmtree` calls itself
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        folder.rmdir()


def remove_known(folder: Path, *names: str) -> None:
    """Remove what a folder of ours holds under these names, in their order; and it, if empty.

    The patterns are those of `glob`. A folder that a link names is left alone, as is whatever a
    person has put beside our files.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    for name in names:
        for path in folder.glob(name):
            _remove(path)
    try:
        folder.rmdir()
    except OSError:  # it holds something else
        return


def read_bytes(path: Path, *, most: int = 2**24) -> bytes:
    """Return what a file holds; a pipe would keep us waiting, a device would never end.

    Raises:
        OSError: there is none, it is no file, or it has more bytes than `most`.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | NO_WAIT), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "is no file", str(path))
        # The memory for as much as is asked for is taken at once.
        content = file.read(min(state.st_size, most) + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"has more than {most} bytes", str(path))
    return content


def _put(part: Path, path: Path) -> None:
    """Rename, with the disk holding the content before and the name after."""
    sync(part)
    part.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until the disk holds a file, or the names in a folder; of a link, do nothing."""
    is_folder = path.is_dir()
    if path.is_symlink() or (is_folder and os.name == "nt"):  # which flushes files alone
        return
    try:
        file = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    except PermissionError:
        if is_folder:  # whose names nobody may read
            return
        raise
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in HAS_NO_SYNC:
            raise
    finally:
        os.close(file)


def _below(folder: Path) -> list[Path]:
    """Return the files and folders below a folder, the deepest last."""
    found, left = list[Path](), [folder]
    while left:  # `os.walk` calls itself, and a folder may be too deep for that
        inside = list(left.pop().iterdir())
        found += inside
        left += [path for path in inside if path.is_dir() and not path.is_symlink()]
    return found


def _part_of(path: Path) -> Path:
    """Return a temporary name for `path`, and remove those that killed processes left."""
    make_folder(path.parent)
    own = path.with_name(f".{path.name}.{os.getpid()}.part")
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        number = left.name.split(".")[-2]
        if left == own or (number.isdecimal() and not psutil.pid_exists(int(number))):
            _remove(left)
    return own


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)


def save_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def save_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON; not-a-number is refused, for JSON has none."""
    save_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def save_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index, numbers with six digits."""
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        lines = cast("TextIO", Lines(file))  # all that pandas does with it is to write
        table.to_csv(lines, index=False, float_format="%.6g", lineterminator=ENDS)


def save_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any] | None = None
) -> None:
    """Write arrays, and `about` (JSON values) as metadata, as one safetensors file.

    The bytes depend on the names and values only, not on the order in which they came.
    """
    # One metadata key: safetensors keeps the keys in a hash map, so that the order of several
    # would differ from run to run.
    metadata = {"about": json.dumps(about, sort_keys=True)} if about is not None else None
    whole = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    with whole_file(path) as part:
        part.touch()
        mode = part.stat().st_mode
        try:
            save_file(whole, part, metadata)
        except SafetensorError as error:  # the disk is full; the system's number is in the text
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise OSError(str(error)) from None
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from None
        part.chmod(mode)  # as of any other file: safetensors shuts others out


def load_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Read the named arrays of a safetensors file, or all of them if none is named.

    Raises:
        InputError: the file is missing or not safetensors, or an array is not in it.
    """
    with _opened(path) as file:
        known = sorted(file.keys())
        for name in names:
            if name not in known:
                raise InputError(f"{path}: has no array {name!r}; it has {', '.join(known)}")
        return {name: _tensor(file, name, path) for name in names or known}


def _tensor(file: Any, name: str, path: Path) -> np.ndarray:
    try:
        return np.asarray(file.get_tensor(name))
    except TypeError as error:  # bfloat16 and other types that NumPy has not
        raise InputError(f"{path}: array {name!r} cannot be read: {error}") from None


def names_in(path: Path) -> list[str]:
    """Return the names of the arrays of a safetensors file, sorted.

    Raises:
        InputError: the file is missing or not safetensors.
    """
    with _opened(path) as file:
        return sorted(file.keys())


def load_kinds(path: Path, kinds: Iterable[str], name: str) -> dict[str, np.ndarray]:
    """Read `KIND/NAME` of those kinds that the file has; return kind -> array.

    A run may have no anomalies.
    """
    there = names_in(path)
    kept = [kind for kind in kinds if f"{kind}/{name}" in there]
    arrays = load_arrays(path, *(f"{kind}/{name}" for kind in kept))
    return dict(zip(kept, arrays.values(), strict=True))


def load_about(path: Path, *keys: str) -> dict[str, Any]:
    """Read what `save_arrays` was told about the file; `keys` must be among it.

    Raises:
        InputError: the file is missing or not safetensors, or says nothing of a key.
    """
    with _opened(path) as file:
        text = (file.metadata() or {}).get("about", "{}")
    try:
        about: dict[str, Any] = dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"{path}: what it says about itself is cut off or altered") from None
    for key in keys:
        if key not in about:
            raise InputError(f"{path}: says nothing of {key!r}; is it the file of another stage?")
    return about


def load_csv(path: Path, *columns: str, as_text: bool = False) -> "pd.DataFrame":
    """Read a table, or the named columns of it.

    As text, all stays as it is written: a class may be called NA or 007.

    Raises:
        InputError: the file is missing (a MissingFileError) or no table, or has no such column.
    """
    import pandas as pd  # not at the top: most stages have no tables, and it takes half a second

    try:
        table = pd.read_csv(path, dtype=str, na_filter=False) if as_text else pd.read_csv(path)
    except FileNotFoundError:
        raise MissingFileError(path) from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes what is too much for names
        raise InputError(f"{path}: has rows with more values than the {len(table.columns)} columns")
    for column in columns:
        if column not in table:
            known = ", ".join(map(str, table.columns))
            raise InputError(f"{path}: has no column {column!r}; it has {known}")
    return table[list(columns)] if columns else table


def load_tables(folder: Path) -> "dict[str, pd.DataFrame]":
    """Read every table below a folder; return its path without `.csv`, such as roc/NAME -> table.

    Raises:
        InputError: there is no such folder (a MissingFileError), or a file is no table.
    """
    if not folder.is_dir():
        raise MissingFileError(folder)
    return {
        path.relative_to(folder).with_suffix("").as_posix(): load_csv(path)
        for path in sorted(folder.rglob("*.csv"))
    }


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would keep us waiting
        raise InputError(f"{path}: cannot be read as safetensors: is no file")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise MissingFileError(path) from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors: {error}") from None
