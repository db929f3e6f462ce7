"""Write files atomically, and read and write arrays as safetensors.

Every output of a program is written here. A file gets its name only after it is complete and on the
disk, so an interruption or a power failure leaves the previous file in place. A killed process
leaves its temporary file under a name that starts with a dot. The next write of the same file
removes it.
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

NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)  # absent on Windows, which has no named pipes
SYNCED_AT_ONCE = 16  # files; a disk syncs many in the time of one
HAS_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)  # errors of a file system without a disk
ENDS = "\r\n"  # `csv` quotes a cell that holds either character


class Lines:
    """A file in which each row ends with a line feed alone."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, row: str) -> int:
        """Write the text of one row, as `csv` calls this once per row."""
        return self.file.write(row.removesuffix(ENDS) + "\n")


def save_rows(file: TextIO, rows: Iterable[Iterable[object]]) -> None:
    """Write rows to a file opened with `newline=""`."""
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
    """Sync the contents of a folder to the disk, then rename the folder to `path`.

    An existing `path` is renamed to `old`.
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
    """Create a folder and its parents, and sync their names to the disk."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def make_work_folder(path: Path) -> None:
    """Create a folder with the permissions of its parent.

    Whoever may write the results may then resume the run of another user that left the folder.
    """
    make_folder(path)
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if stat.S_IMODE(path.stat().st_mode) != mode:
        with suppress(PermissionError):  # the folder of another user
            path.chmod(mode)


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
    """Remove the files of these names from a folder, in this order, and the folder if it is empty.

    Names are `glob` patterns. Other files stay, and a symbolic link to a folder is not touched.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    for name in names:
        for path in folder.glob(name):
            _remove(path)
    try:
        folder.rmdir()
    except OSError:  # the folder holds other files
        return


def read_bytes(path: Path, *, most: int = 2**24) -> bytes:
    """Return the bytes of a regular file; pipes and devices, which may never end, are refused.

    Raises:
        OSError: the file is missing, not regular, or larger than `most` bytes.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | NO_WAIT), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "is no file", str(path))
        # `read` allocates the requested size at once, so request no more than the file has.
        content = file.read(min(state.st_size, most) + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"has more than {most} bytes", str(path))
    return content


def _put(part: Path, path: Path) -> None:
    """Sync the content to the disk, rename it, and sync the name."""
    sync(part)
    part.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Sync a file, or the names in a folder, to the disk; skip symbolic links."""
    is_folder = path.is_dir()
    if path.is_symlink() or (is_folder and os.name == "nt"):  # Windows syncs files only
        return
    try:
        file = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    except PermissionError:
        if is_folder:  # an unreadable folder
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
    paths, folders = list[Path](), [folder]
    while folders:  # not `os.walk`, which is recursive: the folder may be too deep
        children = list(folders.pop().iterdir())
        paths += children
        folders += [path for path in children if path.is_dir() and not path.is_symlink()]
    return paths


def _part_of(path: Path) -> Path:
    """Return a temporary name for `path`, and remove the temporary files of killed processes."""
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    for other in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        number = other.name.split(".")[-2]
        if other == part or (number.isdecimal() and not psutil.pid_exists(int(number))):
            _remove(other)
    return part


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
    """Write `value` as indented JSON; NaN is refused, as JSON has no such number."""
    save_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def save_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index; numbers have six significant digits."""
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        lines = cast("TextIO", Lines(file))  # pandas calls only `write`
        table.to_csv(lines, index=False, float_format="%.6g", lineterminator=ENDS)


def save_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any] | None = None
) -> None:
    """Write arrays, and `about` (JSON values) as metadata, as one safetensors file.

    The bytes depend on the names and values only, not on the order of the arrays.
    """
    # One metadata key only: safetensors keeps keys in a hash map, whose order differs between runs.
    metadata = {"about": json.dumps(about, sort_keys=True)} if about is not None else None
    whole = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    with whole_file(path) as part, _scratch_folder(path) as scratch:
        part.touch()
        written = scratch / "arrays"
        try:
            save_file(whole, written, metadata)
        except SafetensorError as error:  # the disk is full; the system's number is in the text
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise OSError(str(error)) from None
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from None
        written.chmod(part.stat().st_mode)  # the usual mode: safetensors makes the file private
        written.replace(part)


@contextmanager
def _scratch_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` for a library that leaves files of random names there.

    safetensors does so when the process is killed; the next write of `path` removes the folder.
    """
    scratch = _part_of(path.with_name(f"{path.name}.new"))
    scratch.mkdir()
    try:
        yield scratch
    finally:
        remove_folder(scratch)


def load_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Read the named arrays of a safetensors file, or all of them if none is named.

    Raises:
        InputError: the file is missing or not safetensors, or an array is not in it.
    """
    with _opened(path) as file:
        known = sorted(file.keys())
        for name in names:
            if name not in known:
                raise InputError(f"{path}: expected an array {name!r}, got {', '.join(known)}")
        return {name: _tensor(file, name, path) for name in names or known}


def _tensor(file: Any, name: str, path: Path) -> np.ndarray:
    try:
        return np.asarray(file.get_tensor(name))
    except TypeError as error:  # bfloat16 and other types that NumPy lacks
        raise InputError(f"{path}: array {name!r} cannot be read: {error}") from None


def names_in(path: Path) -> list[str]:
    """Return the names of the arrays of a safetensors file, sorted.

    Raises:
        InputError: the file is missing or not safetensors.
    """
    with _opened(path) as file:
        return sorted(file.keys())


def load_kinds(path: Path, kinds: Iterable[str], name: str) -> dict[str, np.ndarray]:
    """Read the arrays `KIND/NAME`; return kind -> array.

    Missing kinds are skipped, as a run may have no anomalies.
    """
    names = names_in(path)
    present = [kind for kind in kinds if f"{kind}/{name}" in names]
    arrays = load_arrays(path, *(f"{kind}/{name}" for kind in present))
    return dict(zip(present, arrays.values(), strict=True))


def load_about(path: Path, *keys: str) -> dict[str, Any]:
    """Read the metadata `about` of a file of `save_arrays`, and check that it has all `keys`.

    Raises:
        InputError: the file is missing or not safetensors, or the metadata lacks a key.
    """
    with _opened(path) as file:
        text = (file.metadata() or {}).get("about", "{}")
    try:
        about: dict[str, Any] = dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"{path}: its metadata is cut off or altered") from None
    for key in keys:
        if key not in about:
            raise InputError(
                f"{path}: expected metadata {key!r}, got none; is it the file of another stage?"
            )
    return about


def load_csv(path: Path, *columns: str, as_text: bool = False) -> "pd.DataFrame":
    """Read a table, or its named columns.

    With `as_text` no value is converted: a class may be called NA or 007.

    Raises:
        MissingFileError: the file is missing.
        InputError: the file is not a table, or lacks a column.
    """
    import pandas as pd  # imported here: it takes 0.5 s, and most stages read no table

    try:
        table = pd.read_csv(path, dtype=str, na_filter=False) if as_text else pd.read_csv(path)
    except FileNotFoundError:
        raise MissingFileError(path) from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as a table: {error}") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas reads surplus values as row names
        raise InputError(f"{path}: expected {len(table.columns)} values in each row, got more")
    for column in columns:
        if column not in table:
            known = ", ".join(map(str, table.columns))
            raise InputError(f"{path}: expected a column {column!r}, got {known}")
    return table[list(columns)] if columns else table


def load_tables(folder: Path) -> "dict[str, pd.DataFrame]":
    """Read every table below a folder; return path without `.csv`, such as roc/NAME -> table.

    Raises:
        MissingFileError: the folder is missing.
        InputError: a file is not a table.
    """
    if not folder.is_dir():
        raise MissingFileError(folder)
    return {
        path.relative_to(folder).with_suffix("").as_posix(): load_csv(path)
        for path in sorted(folder.rglob("*.csv"))
    }


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if path.exists() and not (path.is_file() or path.is_dir()):  # reading a pipe may never end
        raise InputError(f"{path}: cannot be read as safetensors: is no file")
    try:
        # Not mapped: truncating a mapped file ends the process with SIGBUS, without a message.
        with safe_open(path, framework="numpy", backend="pread") as file:
            yield file
    except FileNotFoundError:
        raise MissingFileError(path) from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors: {error}") from None
