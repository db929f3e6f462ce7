"""Data sets: IDX files that are damaged, labels that cannot be right, images in two places."""

import gzip
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from belong.data.idx import read_idx
from tests.idx_files import idx_bytes
from tests.imports import ROOT
from tests.photo_folders import write_images
from tests.robustness.faults.fault import INPUT, OUTPUT, Fault

DIGITS = ROOT / "tests" / "data" / "mnist-small"
IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


def _checked(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path, Path], list[str]]:
    """Return what checks a data set of which one file is changed."""

    def spoil(folder: Path, _model: Path) -> list[str]:
        path = _copied(folder) / file
        path.write_bytes(change(path.read_bytes()))
        return ["belong", "check", f"{path.parent}"]

    return spoil


def _copied(folder: Path) -> Path:
    to = folder / INPUT / "digits"
    shutil.copytree(DIGITS, to)
    return to


def _unzipped(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda content: gzip.compress(change(gzip.decompress(content)), mtime=0)


def _one_image_less(content: bytes) -> bytes:
    magic, n, *size = struct.unpack(">4I", content[:16])
    return struct.pack(">4I", magic, n - 1, *size) + content[16 : -28 * 28]


def _with(**files: np.ndarray) -> Callable[[Path, Path], list[str]]:
    """Return what checks a data set of which whole files are others."""
    names = {
        "images": IMAGES, "labels": LABELS, "test_images": TEST_IMAGES, "test_labels": TEST_LABELS
    }  # fmt: skip

    def spoil(folder: Path, _model: Path) -> list[str]:
        to = _copied(folder)
        for kind, values in files.items():
            (to / names[kind]).write_bytes(gzip.compress(idx_bytes(values), mtime=0))
        return ["belong", "check", f"{to}"]

    return spoil


def _normal_among_the_anomalies(folder: Path, _model: Path) -> list[str]:
    to = _copied(folder)
    return ["belong", "check", f"{to}", "--anomalies", f"{DIGITS}"]


def _of_one_image(folder: Path, _model: Path) -> list[str]:
    write_images(folder / INPUT, "ant/0.png")
    return ["belong", "check", f"{folder / INPUT}"]


def _with_a_swapped_label(folder: Path, _model: Path) -> list[str]:
    """Put a nought among the ones, and look for what is not of its class."""
    for label in (0, 1):
        (folder / INPUT / f"{label}").mkdir()
        for row in np.flatnonzero(label == CLASSES)[:40]:
            digit = Image.fromarray(TRAINING[row])
            digit.save(folder / INPUT / f"{label}" / f"{row:04}.png")
    swapped = min((folder / INPUT / "0").iterdir())
    swapped.replace(folder / INPUT / "1" / "swapped.png")
    quick = ["--folds", "2", "--threads", "1", "--set", "train.epochs=20"]
    return ["belong", "clean", f"{folder / INPUT}", "-o", f"{folder / OUTPUT}", *quick]


TRAINING = read_idx(DIGITS / IMAGES, axes=3)
TEST = read_idx(DIGITS / TEST_IMAGES, axes=3)
CLASSES = read_idx(DIGITS / LABELS, axes=1)
ALL_ALIKE = np.repeat(TRAINING[:1], len(TRAINING), axis=0)

FAULTS = [
    Fault("IDX cut off", _checked(IMAGES, _unzipped(lambda it: it[:-1])), "but has 1567999", 2),
    Fault("gzip cut off", _checked(LABELS, lambda it: it[:-30]), "cannot be read: Compressed", 2),
    Fault(
        "IDX with another magic number", _checked(IMAGES, _unzipped(lambda it: b"\1" + it[1:])),
        "which starts with 00 00 08 03, got 01 00 08 03", 2,
    ),
    Fault(
        "fewer images than labels", _checked(IMAGES, _unzipped(_one_image_less)),
        "has 1999 images but train-labels-idx1-ubyte.gz has 2000 labels", 2,
    ),
    Fault(
        "label out of range", _checked(TEST_LABELS, _unzipped(lambda it: it[:-1] + b"\x63")),
        "expected test labels 0 to 9, as in training, got 99 (image 499)", 2,
    ),
    Fault(
        "compressed twice", _checked(IMAGES, lambda it: gzip.compress(it, mtime=0)),
        "(gzip; a name that ends in .gz is unzipped once)", 2,
    ),
    Fault(
        "labels of one class only",
        _with(labels=CLASSES * 0, test_labels=CLASSES[:500] * 0),
        "one class (0): the model decides which images belong, without predicting classes",
        0,
    ),
    Fault(
        "class of one image",
        _with(labels=np.r_[CLASSES % 9, 9][-len(CLASSES) :]),
        "spoils the result: - 1 class (9): fewer than 5 training images; `belong fit` stops",
        1,
    ),
    Fault(
        "data set of one image", _of_one_image,
        "one class (ant): the model decides which images belong, without predicting classes", 1,
    ),
    Fault(
        "swapped label", _with_a_swapped_label,
        "1/swapped.png,train,1,quarantine,wrong_class", where=f"{OUTPUT}/manifest.csv",
    ),
    Fault(
        "the same image everywhere",
        _with(images=ALL_ALIKE),
        "spoils the result: - 2,000 images occur in several classes",
        1,
    ),
    Fault(
        "images in training and test",
        _with(test_images=TRAINING[:500], test_labels=CLASSES[:500]),
        "500 test images of 500 also in training: the same image",
    ),
    Fault(
        "normal images among the anomalies",
        _normal_among_the_anomalies,
        "spoils the result: - 5,000 images occur among both normal images and anomalies",
        1,
    ),
]  # fmt: skip
