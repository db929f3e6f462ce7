"""Read IDX files, the format of MNIST: a magic number, the sizes, the bytes.

Magic: two zero bytes, the type of the values (8: unsigned byte), the number of axes; then each
axis as a big-endian 32-bit integer; then the values, last axis fastest.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from belong.data.dataset import DataSet
from belong.runtime.errors import InputError

UNSIGNED_BYTE = 8
MOST_VALUES = 2**34  # 16 GiB; a larger size means a damaged header
PIECE = 2**18


def read_idx(path: Path, axes: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes with `axes` axes, gzipped if its name ends in .gz.

    Returns:
        uint8 array with the shape that the file states.

    Raises:
        InputError: the file is missing, is not an IDX file, has another type or number of axes, or
            is too short or too long.
    """
    if path.exists() and not path.is_file():  # reading a pipe may block forever
        raise InputError(f"{path}: cannot be read: is no file")
    try:
        with path.open("rb") as raw, _unzipped(raw, path) as file:
            start = file.read(4)
            magic = bytes([0, 0, UNSIGNED_BYTE, axes])
            if start != magic:
                raise InputError(
                    f"{path}: expected an IDX file of bytes with {axes} "
                    f"{'axis' if axes == 1 else 'axes'}, which starts with {magic.hex(' ')}, got "
                    f"{_described(start)}"
                )
            header = file.read(4 * axes)
            if len(header) < 4 * axes:
                raise InputError(f"{path}: ends inside its header, after {4 + len(header)} bytes")
            shape = struct.unpack(f">{axes}I", header)
            count = math.prod(shape)
            if count == 0:
                raise InputError(f"{path}: is empty: {_product(shape)} = 0 values")
            if count > MOST_VALUES:
                raise InputError(
                    f"{path}: expected at most {MOST_VALUES} values in the header, got {count}"
                )
            # One more byte than stated detects a file that is too long, without reading all of it.
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
    """Read in chunks, so that memory grows with the file, not with the size in its header."""
    values = bytearray()
    while piece := file.read(min(PIECE, most - len(values))):
        values += piece
    return values


def _unzipped(raw: BinaryIO, path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw


def _described(start: bytes) -> str:
    kinds = {
        b"\x89PNG": " (a PNG image)",
        b"\xff\xd8": " (a JPEG image)",
        b"GIF8": " (a GIF image)",
        b"BM": " (a BMP image)",
        b"\x1f\x8b": " (gzip; a name that ends in .gz is unzipped once)",
        b"PK": " (a zip archive)",
    }
    kind = next((name for magic, name in kinds.items() if start.startswith(magic)), "")
    return f"{start.hex(' ') or 'nothing'}{kind}"


STEMS = {"train": "train", "test": "t10k"}
KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def is_idx_folder(path: Path) -> bool:
    """Return whether a folder has any of the four files; all are required then."""
    names = (f"{stem}-{kind}" for stem in STEMS.values() for kind in KINDS)
    return any(_plain_or_gzipped(path / name).exists() for name in names)


def read(path: Path) -> DataSet:
    """Read the data set in the folder `path`.

    Raises:
        InputError: one of the four files is missing or damaged, or they contradict each other.
    """
    parts = {part: _read_idx_pair(path, stem) for part, stem in STEMS.items()}
    _same_size(path, parts["train"][0], parts["test"][0])
    labels = np.concatenate([labels for _, labels in parts.values()]).astype(np.int64)
    classes = _count_classes(path, parts["train"][1], parts["test"][1])
    counts = [len(labels) for _, labels in parts.values()]
    return DataSet(
        images=np.concatenate([images for images, _ in parts.values()])[:, None],
        labels=labels,
        class_names=tuple(str(number) for number in range(classes)),
        is_test=np.repeat([False, True], counts),
        sources=np.concatenate(
            [
                np.char.add(f"{stem}-images-idx3-ubyte/", np.arange(count).astype(str))
                for stem, count in zip(STEMS.values(), counts, strict=True)
            ]
        ),
    )


IMAGE_FILES = "*idx3-ubyte", "*idx3-ubyte.gz"


def image_files(path: Path) -> list[Path]:
    """Return the IDX image files at a path or in a folder, sorted."""
    if not path.is_dir():
        return [path] if any(path.match(pattern) for pattern in IMAGE_FILES) else []
    files = {file for pattern in IMAGE_FILES for file in path.glob(pattern)}
    return sorted(file for file in files if file.suffix != ".gz" or _plain(file) not in files)


def read_images(files: Sequence[Path]) -> tuple[np.ndarray, list[str]]:
    """Read IDX files of images, without labels: (n, 1, h, w) uint8, and FILE/NUMBER of each.

    Raises:
        InputError: a file is damaged, or two have images of different sizes.
    """
    parts = [read_idx(file, axes=3) for file in files]
    for file, images in zip(files, parts, strict=True):
        if images.shape[1:] != parts[0].shape[1:]:
            shape, first = ("x".join(map(str, one.shape[1:])) for one in (images, parts[0]))
            raise InputError(f"{file}: expected {first} pixels as in {files[0].name}, got {shape}")
    names = [
        f"{_plain(file).name}/{number}"
        for file, images in zip(files, parts, strict=True)
        for number in range(len(images))
    ]
    return np.concatenate(parts)[:, None], names


def _plain(file: Path) -> Path:
    """Return the name of a file without .gz."""
    return file.with_suffix("") if file.suffix == ".gz" else file


def _read_idx_pair(folder: Path, stem: str) -> tuple[np.ndarray, np.ndarray]:
    image_path = _plain_or_gzipped(folder / f"{stem}-images-idx3-ubyte")
    label_path = _plain_or_gzipped(folder / f"{stem}-labels-idx1-ubyte")
    images, labels = read_idx(image_path, axes=3), read_idx(label_path, axes=1)
    if len(images) != len(labels):
        raise InputError(
            f"{folder}: {image_path.name} has {len(images)} images but {label_path.name} has "
            f"{len(labels)} labels"
        )
    return images, labels


def _plain_or_gzipped(path: Path) -> Path:
    gzipped = path.with_name(path.name + ".gz")
    return gzipped if gzipped.exists() and not path.exists() else path


def _same_size(folder: Path, train: np.ndarray, test: np.ndarray) -> None:
    if train.shape[1:] != test.shape[1:]:
        train_size, test_size = ("x".join(map(str, x.shape[1:])) for x in (train, test))
        raise InputError(
            f"{folder}: expected test images of {train_size} pixels, as in training, got "
            f"{test_size}"
        )


def _count_classes(folder: Path, train: np.ndarray, test: np.ndarray) -> int:
    """Return c, the number of classes; the training labels must be 0..c-1 without a gap."""
    counts = np.bincount(train)
    classes = len(counts)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        raise InputError(
            f"{folder}: expected training labels 0 to {classes - 1} without a gap, got no image of "
            f"class {empty[0]}"
        )
    if test.max() >= classes:
        row = int(np.argmax(test >= classes))
        raise InputError(
            f"{folder}: expected test labels 0 to {classes - 1}, as in training, got {test[row]} "
            f"(image {row})"
        )
    return classes
