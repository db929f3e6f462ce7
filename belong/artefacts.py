"""Write files whole or not at all; keep arrays as safetensors.

Everything that a program leaves behind goes through here. A file appears under its name only
when it is complete, so an interruption at any moment leaves the last good one in place.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from belong.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part_of(path)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; put it in the place of `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = _part_of(path), _part_of(path.with_name(path.name + ".old"))
    for left_by_a_kill in (part, old):  # an earlier process may have had the same number
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        if path.exists():
            path.replace(old)
        try:
            part.replace(path)
        except BaseException:
            if old.exists():
                old.replace(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _part_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def save_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def save_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON; not-a-number is refused, for JSON has none."""
    save_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def save_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index, numbers with six digits."""
    with whole_file(path) as part:
        table.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")


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
        part.write_bytes(save(whole, metadata))


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
        return {name: file.get_tensor(name) for name in names or known}


def load_about(path: Path) -> dict[str, Any]:
    """Read what `save_arrays` was told about the file (empty if nothing)."""
    with _opened(path) as file:
        about: dict[str, Any] = json.loads((file.metadata() or {}).get("about", "{}"))
    return about


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc repro` makes it") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors: {error}") from None
