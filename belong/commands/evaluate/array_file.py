"""Read arrays in .npy and .safetensors files in parts, and check every read.

Files are not mapped into memory, as truncating a mapped file ends the process with SIGBUS, without
a message.
"""

import io
import json
import math
import os
import stat
import weakref
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from belong.runtime.errors import InputError
from belong.runtime.storage import NO_WAIT
from belong.runtime.text import printable

NPY_HEADER = 2**17  # bytes; more than the header of an array of numbers
SAFETENSORS_HEADER = 2**24  # bytes; that of a network of 10,000 arrays has 2 MB
MOST_AXES, LONGEST = 8, 2**48
NPY_VERSIONS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
TORCH_TYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "U16": torch.uint16, "U32": torch.uint32,
    "U64": torch.uint64, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
    "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32,
    "F64": torch.float64, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip

DataType: TypeAlias = np.dtype | torch.dtype


def open_regular(path: Path) -> int:
    """Open a regular file for reading; return its file descriptor.

    Raises:
        OSError: the file cannot be opened, or is a pipe or a device, whose reading may never end.
    """
    number = os.open(path, os.O_RDONLY | NO_WAIT | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError("is no file")
    return number


class OpenFile:
    """A file that several threads read."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            OSError: the file cannot be opened, or is not a regular file.
        """
        number = open_regular(path)
        weakref.finalize(self, os.close, number)
        self.path, self.size, self._lock = path, os.fstat(number).st_size, Lock()
        self._file = io.FileIO(number, closefd=False)

    def read(self, start: int, count: int) -> np.ndarray:
        """Return bytes of the file: (count,) uint8.

        Raises:
            InputError: the file has become shorter.
        """
        content = np.empty(count, np.uint8)
        self.read_into(content, start)
        return content

    def read_into(self, content: np.ndarray, start: int) -> None:
        """Fill an array (n,) uint8 with the bytes of the file from `start` on.

        Raises:
            InputError: the file has become shorter.
        """
        with self._lock:
            self._file.seek(start)
            offset = 0
            while offset < len(content):
                count = self._file.readinto(content[offset:].data)
                if not count:
                    raise InputError(f"{printable(self.path)}: was cut short while it was read")
                offset += count


class ArrayFile:
    """An array (n, ...) in a file, of which slices are read.

    Attributes:
        shape: the lengths of its axes.
        dtype: the type of a slice: NumPy's for a .npy file, torch's for a .safetensors file.
    """

    def __init__(
        self,
        file: OpenFile,
        start: int,
        shape: tuple[int, ...],
        dtype: DataType,
        *,
        columns_first: bool = False,
    ) -> None:
        """Describe an array that begins at the byte `start` of a file.

        Raises:
            ValueError: the shape is invalid, or the file ends before the array.
        """
        if len(shape) > MOST_AXES or not all(0 <= length <= LONGEST for length in shape):
            raise ValueError(f"expected at most {MOST_AXES} axes of 0 to 2^48, got {shape}")
        self.shape, self.dtype = shape, dtype
        self._file, self._start, self._columns_first = file, start, columns_first
        end = start + math.prod(shape) * dtype.itemsize
        if end > file.size:
            raise ValueError(f"expected at least {end} bytes, got {file.size}")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray | Tensor:
        """Read rows; the step of the slice is 1.

        Raises:
            InputError: the file has become shorter.
        """
        if not self.shape:
            return self._of_type(self._file.read(self._start, self.dtype.itemsize), ())
        n, *others = self.shape
        start, stop, _ = rows.indices(n)
        count, size, columns = max(stop - start, 0), self.dtype.itemsize, math.prod(others)
        if not self._columns_first:
            content = self._file.read(self._start + start * columns * size, count * columns * size)
            return self._of_type(content, (count, *others))
        parts = np.empty((columns, count * size), np.uint8)
        for column, part in enumerate(parts):
            self._file.read_into(part, self._start + (column * n + start) * size)
        return self._of_type(parts.reshape(-1), (*reversed(others), count)).T

    def _of_type(self, content: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | Tensor:
        if isinstance(self.dtype, torch.dtype):
            if not len(content):
                return torch.empty(shape, dtype=self.dtype)
            return torch.from_numpy(content).view(self.dtype).reshape(shape)
        return content.view(self.dtype).reshape(shape)


def open_npy(path: Path) -> ArrayFile:
    """Open the array of a .npy file.

    Raises:
        ValueError: the file is damaged, or holds Python objects.
        OSError: the file cannot be read.
    """
    file = OpenFile(path)
    header = io.BytesIO(file.read(0, min(file.size, NPY_HEADER)).tobytes())
    version = np.lib.format.read_magic(header)
    if version not in NPY_VERSIONS:
        raise ValueError(f"expected version 1.0 or 2.0, got {version[0]}.{version[1]}")
    shape, columns_first, dtype = NPY_VERSIONS[version](header)
    if dtype.hasobject or not dtype.itemsize:
        raise ValueError("expected numbers, got Python objects or values of no size")
    return ArrayFile(file, header.tell(), shape, dtype, columns_first=columns_first)


def open_safetensors(path: Path) -> dict[str, ArrayFile]:
    """Open the arrays of a .safetensors file: name -> array.

    Raises:
        ValueError: the file is damaged, or has an array of an unknown type.
        OSError: the file cannot be read.
    """
    file = OpenFile(path)
    if file.size < 8:
        raise ValueError(f"expected at least 8 bytes, got {file.size}")
    length = int.from_bytes(file.read(0, 8).tobytes(), "little")
    if length > min(SAFETENSORS_HEADER, file.size - 8):
        raise ValueError(
            f"expected a header of at most {min(SAFETENSORS_HEADER, file.size - 8)} bytes, got "
            f"{length}"
        )
    try:
        header = json.loads(file.read(8, length).tobytes())
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    header.pop("__metadata__", None)
    arrays, ranges = {}, []
    for name, about in header.items():
        dtype, shape, (start, stop) = about["dtype"], about["shape"], about["data_offsets"]
        if dtype not in TORCH_TYPES:
            raise ValueError(f"array {name!r} is of the unknown type {dtype!r}")
        if not all(type(number) is int for number in (*shape, start, stop)) or start < 0:
            raise ValueError(f"array {name!r}: expected whole numbers, got {shape} at {start}")
        if stop - start != math.prod(shape) * TORCH_TYPES[dtype].itemsize:
            raise ValueError(f"array {name!r}: its shape and its number of bytes differ")
        arrays[name] = ArrayFile(file, 8 + length + start, tuple(shape), TORCH_TYPES[dtype])
        ranges.append((start, stop, name))
    end = 0
    for start, stop, name in sorted(ranges):  # shared bytes would take memory for each array
        if start < end:
            raise ValueError(f"array {name!r} shares bytes with another array")
        end = stop
    return arrays
