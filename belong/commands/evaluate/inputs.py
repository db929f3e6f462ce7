"""Read feature vectors from arrays, tensors, and .npy, .npz and .safetensors files.

A .npy file and a .safetensors file are read in parts, so that ten million rows need no more memory
than a thousand.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from belong.commands.evaluate.array_file import (
    ArrayFile,
    open_npy,
    open_regular,
    open_safetensors,
)
from belong.detectors.panel import LAYERS
from belong.detectors.vectors import check_finite, whole_labels
from belong.runtime.arguments import as_path, refuse
from belong.runtime.errors import InputError, MissingFileError
from belong.runtime.text import printable

NAMES = (*LAYERS, "labels", "weight", "bias")
PART = 8192  # rows read at a time
SHOWN, REASON = 80, 200  # maximum characters of a name, and of a reason, in a message
KINDS = ".npy, .npz, .safetensors, or a folder of .npy files"

PathOf: TypeAlias = str | PathLike[str]
# Features only, or a mapping with keys of NAMES, or a file of either.
Vectors: TypeAlias = np.ndarray | Tensor | PathOf | Mapping[str, Any]


# What readers of damaged files raise.
UNREADABLE = (
    ValueError, EOFError, OSError, KeyError, BadZipFile, zlib.error, SyntaxError,
    NotImplementedError, RuntimeError, MemoryError, OverflowError, TypeError, struct.error,
)  # fmt: skip


class Source:
    """An array (n, ...) that is read in parts."""

    def __init__(self, name: str, values: Any) -> None:
        """Wrap an array, a tensor or an array in a file; `name` is for messages."""
        self.name, self.values = name, values
        self.shape = tuple(values.shape)
        if isinstance(values.dtype, np.dtype) and values.dtype.kind not in "fiub":
            raise InputError(f"{name}: expected numbers, got values of type {values.dtype.name}")
        if isinstance(values, Tensor) and values.is_complex():
            refuse(name, "real numbers", values.dtype)

    def part(self, start: int, stop: int) -> Tensor:
        """Return rows as finite float32 on the CPU.

        Raises:
            InputError: a row has a value that is not finite.
        """
        values = self.values[start:stop]
        if not isinstance(values, Tensor):
            with np.errstate(over="ignore"):  # a value that overflows becomes infinite: refused
                values = torch.from_numpy(np.array(values, dtype=np.float32, order="C"))
        rows = values.detach().cpu().float().contiguous()
        return check_finite(self.name, rows, first=start)


@dataclass(frozen=True)
class Rows:
    """Feature vectors of a set of rows.

    Attributes:
        name: name in messages.
        layers: name in `LAYERS` -> (n, ...); missing layers are left out.
        labels: (n,) int64, or None.
        last_layer: `weight` and `bias` of the last layer, if the file has them.
    """

    name: str
    layers: Mapping[str, Source]
    labels: Tensor | None
    last_layer: Mapping[str, Source]

    def __len__(self) -> int:
        return int(next(iter(self.layers.values())).shape[0])

    def parts(self) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """Yield the parts: the index of the first row, and the layers."""
        for start in self.starts():
            yield start, self.part(start)

    def starts(self) -> range:
        """Return the index of the first row of each part."""
        return range(0, len(self), PART)

    def part(self, start: int) -> dict[str, Tensor]:
        """Return the layers of the part that starts at a row."""
        stop = min(start + PART, len(self))
        return {name: one.part(start, stop) for name, one in self.layers.items()}

    def take(self, places: np.ndarray) -> dict[str, Tensor]:
        """Return the layers of the rows with the sorted indices `places`."""
        parts: dict[str, list[Tensor]] = {name: [] for name in self.layers}
        for start, layers in self.parts():
            first, last = np.searchsorted(places, [start, start + PART])
            indices = torch.from_numpy(places[first:last] - start)
            for name, rows in layers.items():
                parts[name].append(rows if len(indices) == len(rows) else rows[indices])
        return {name: torch.cat(rows) for name, rows in parts.items()}


def rows_of(name: str, value: object, *, labels: object = None) -> Rows:
    """Return the rows of an argument of the user.

    Args:
        name: name in messages.
        value: a value of `Vectors`.
        labels: labels that are passed separately.

    Raises:
        InputError: the file is missing or has another format, or its arrays do not fit together.
    """
    if isinstance(value, str | PathLike):  # messages name the file
        path = as_path(name, value)
        name = printable(path) if path.stem == name else f"{name}: {printable(path)}"
    arrays = _arrays(name, value)
    own_labels = arrays.pop("labels", None)
    sources = {key: Source(f"{name}: {key}", one) for key, one in arrays.items()}
    layers = {key: one for key, one in sources.items() if key in LAYERS}
    if not layers:
        raise InputError(f"{name}: expected one of {', '.join(LAYERS)}, got none")
    for one in layers.values():
        if len(one.shape) != 2 or 0 in one.shape:
            raise InputError(
                f"{one.name}: expected shape (n, d) and at least one value, got {one.shape}"
            )
    counts = {key: one.shape[0] for key, one in layers.items()}
    if len(set(counts.values())) > 1:
        numbers = ", ".join(f"{n} of {key}" for key, n in counts.items())
        raise InputError(f"{name}: expected equal numbers of rows, got {numbers}")
    n = next(iter(counts.values()))
    if labels is None and own_labels is not None:
        labels = whole(own_labels)
    elif isinstance(labels, str | PathLike):
        labels = single(f"{name}: labels", labels)
    return Rows(
        name,
        layers,
        None if labels is None else whole_labels(f"{name}: labels", labels, n),
        {key: one for key, one in sources.items() if key in ("weight", "bias")},
    )


def whole(values: Any) -> Any:
    """Return an array unchanged, and all of an array in a file."""
    return values[:] if isinstance(values, ArrayFile) else values


def sets_of(value: object) -> dict[str, Rows]:
    """Return name -> rows of the sets of anomalies: a single set, or a mapping of several.

    Raises:
        InputError: as `rows_of`, or the mapping is empty.
    """
    named = value if isinstance(value, Mapping) and not set(value) & set(NAMES) else None
    sets = {"anomalies": value} if named is None else {str(key): one for key, one in named.items()}
    if not sets:
        raise InputError("anomalies: expected at least one set, got none")
    return {key: rows_of(key, one) for key, one in sets.items()}


def single(name: str, value: object) -> Any:
    """Return a single array, or the array in a file, read."""
    return whole(_single(name, value))


def _single(name: str, value: object) -> Any:
    """Return a single array, or the array in a file, not yet read."""
    if not isinstance(value, str | PathLike):
        return value
    path = as_path(name, value)
    arrays = _open(path)
    key = name.rpartition(" ")[2]
    if key in arrays or len(arrays) == 1:
        return arrays.get(key, next(iter(arrays.values())))
    raise InputError(f"{printable(path)}: expected an array {key!r}, got {_names(arrays)}")


def _arrays(name: str, value: object) -> dict[str, Any]:
    """Return the arrays of an argument of the user; the keys are in NAMES."""
    if isinstance(value, str | PathLike):
        arrays = _open(as_path(name, value))
        if set(arrays) == {""}:  # a single .npy file
            return {"features": arrays[""]}
        return _check_keys(name, arrays)
    if isinstance(value, Mapping):
        arrays = {
            key: _single(f"{name}: {key}", one) for key, one in value.items() if one is not None
        }
        return _check_keys(
            name, {key: _array(f"{name}: {key}", one) for key, one in arrays.items()}
        )
    return {"features": _array(name, value)}


def _check_keys(name: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [key for key in arrays if key not in NAMES]
    if unknown:
        raise InputError(f"{name}: expected arrays named {', '.join(NAMES)}, got {_names(unknown)}")
    return dict(arrays)


def _array(name: str, value: object) -> Any:
    if np.ma.is_masked(value):
        refuse(name, "no masked values", value)
    if isinstance(value, Tensor | np.ndarray | ArrayFile):
        return value
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        refuse(name, "an array", value)


def _names(names: Any) -> str:
    return ", ".join(repr(name)[:SHOWN] for name in list(names)[:8]) or "none"


def reason(error: Exception) -> str:
    """Return the message of an error as one line of at most 200 characters."""
    return printable(" ".join(str(error).split()))[:REASON] or type(error).__name__


def _open(path: Path) -> dict[str, Any]:
    """Return name -> array in a file or folder; the name in a .npy file is ""."""
    name, suffix = printable(path), path.suffix.lower()
    if path.is_dir():
        files = sorted(path.glob("*.npy"))
        if not files:
            raise InputError(f"{name}: expected {KINDS}, got a folder without .npy files")
        if folders := [file for file in files if file.is_dir()]:
            raise InputError(f"{printable(folders[0])}: expected a file, got a folder")
        return {file.stem: _open(file)[""] for file in files}
    if not path.exists():
        raise MissingFileError(path)
    try:
        if suffix == ".npy":
            return {"": open_npy(path)}
        if suffix == ".npz":
            # NumPy does not close a damaged file that it has opened itself.
            with (
                os.fdopen(open_regular(path), "rb") as file,
                np.load(file, allow_pickle=False) as arrays,
            ):
                return {key: arrays[key] for key in arrays.files}
        if suffix == ".safetensors":
            return dict(open_safetensors(path))
    except UNREADABLE as error:
        why = reason(error)
        if "allow_pickle" in why:  # NumPy advises loading it anyway
            why = "expected numbers, got Python objects or no array file at all"
        raise InputError(f"{name}: cannot be read as {suffix}: {why}") from None
    raise InputError(f"{name}: expected {KINDS}")
