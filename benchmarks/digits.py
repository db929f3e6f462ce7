"""Load the digits of the rows: MNIST of the pipeline, or a small copy for a quick run."""

import gzip
from pathlib import Path

from belong.data import idx
from belong.data.dataset import DataSet
from belong.runtime.errors import InputError
from belong.runtime.storage import whole_file
from benchmarks.contract import Setting

FULL, SMALL = Path("data/raw/mnist"), Path("tests/data/mnist-small")


def folder(setting: Setting) -> Path:
    """Return where the four IDX files lie.

    Raises:
        InputError: nobody fetched them.
    """
    where = SMALL if setting.quick else FULL
    if not where.is_dir():
        raise InputError(f"{where}: no such folder; run `dvc repro data/dvc.yaml:fetch@mnist`")
    return where


def read(setting: Setting) -> DataSet:
    """Return all digits."""
    return idx.read(folder(setting))


def for_torchvision(setting: Setting) -> Path:
    """Return a folder in which torchvision's MNIST finds the digits."""
    name = "digits-small" if setting.quick else "digits"
    return unzipped(folder(setting), setting.folder / name)


def unzipped(path: Path, root: Path) -> Path:
    """Bring IDX files, zipped or not, to where torchvision's MNIST looks for them below `root`."""
    for file in sorted(path.glob("*-ubyte*")):
        plain = root / "MNIST" / "raw" / file.name.removesuffix(".gz")
        if not plain.exists():
            content = file.read_bytes()
            with whole_file(plain) as part:
                part.write_bytes(gzip.decompress(content) if file.suffix == ".gz" else content)
    return root
