"""Read IDX files, the format of MNIST: a magic number, the sizes, the bytes.

Magic: two zero bytes, the type of the values (8: unsigned byte), the number of axes; then each
axis as a big-endian 32-bit integer; then the values, last axis fastest.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from belong.errors import InputError

UNSIGNED_BYTE = 8
MOST_VALUES = 2**34  # 16 GiB: a header that claims more is taken for a damaged one
PIECE = 2**18


def read_idx(path: Path, axes: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes with `axes` axes, gzipped if its name ends in .gz.

    Returns:
        uint8 array with the shape that the file states.

    Raises:
        InputError: missing, not IDX, another type or number of axes, too short or too long.
    """
    try:
        with path.open("rb") as raw, _unzipped(raw, path) as file:
            start = file.read(4)
            wanted = bytes([0, 0, UNSIGNED_BYTE, axes])
            if start != wanted:
                raise InputError(
                    f"{path}: starts with {_seen(start)}; an IDX file of bytes with {axes} "
                    f"{'axis' if axes == 1 else 'axes'} starts with {wanted.hex(' ')}"
                )
            header = file.read(4 * axes)
            if len(header) < 4 * axes:
                raise InputError(f"{path}: ends inside its header, after {4 + len(header)} bytes")
            shape = struct.unpack(f">{axes}I", header)
            count = math.prod(shape)
            if count == 0:
                raise InputError(f"{path}: states {_product(shape)} = 0 values: it holds nothing")
            if count > MOST_VALUES:
                raise InputError(f"{path}: its header claims {count} values; damaged?")
            # One byte more than stated shows a file that is too long, without reading it all.
            values = _read_up_to(file, count + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if len(values) != count:
        has = f"{len(values)}" if len(values) < count else "more"
        raise InputError(f"{path}: states {_product(shape)} = {count} values but has {has}")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _product(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def _read_up_to(file: BinaryIO, most: int) -> bytearray:
    """Read piece by piece, so that memory grows with the file and not with what it claims."""
    values = bytearray()
    while piece := file.read(min(PIECE, most - len(values))):
        values += piece
    return values


def _unzipped(raw: BinaryIO, path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw


def _seen(start: bytes) -> str:
    kinds = {
        b"\x89PNG": " (a PNG image)",
        b"\xff\xd8": " (a JPEG image)",
        b"GIF8": " (a GIF image)",
        b"BM": " (a BMP image)",
        b"\x1f\x8b": " (gzip; one layer of it is read where the name ends in .gz)",
        b"PK": " (a zip archive)",
    }
    kind = next((name for magic, name in kinds.items() if start.startswith(magic)), "")
    return f"{start.hex(' ') or 'nothing'}{kind}"
