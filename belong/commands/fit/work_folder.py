"""Manage the hidden folder with the progress of a fit, `.NAME.work` beside the model."""

from pathlib import Path

from belong.runtime.errors import InputError
from belong.runtime.storage import remove_known
from belong.runtime.text import printable

KEY = "key"  # the file with the hash of the inputs; removed last
NAMES = ("*.safetensors", "*.sha256", ".*.checkpoint", ".*.part", "bundle", KEY)


def work_beside(output: Path) -> Path:
    """Return the work folder of a model."""
    return output.with_name(f".{output.name}.work")


def check_work(folder: Path) -> None:
    """Refuse a folder of this name that was not created by a fit.

    Raises:
        InputError: the name is taken.
    """
    if folder.is_symlink() or (folder.exists() and not _is_own(folder)):
        raise InputError(f"{printable(folder)}: not a work folder of belong fit; move it, or "
                         f"choose another name for the model")  # fmt: skip


def remove_work(folder: Path) -> None:
    """Remove the work folder of a fit."""
    if folder.is_dir() and _is_own(folder):
        remove_known(folder, *NAMES)


def _is_own(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    # A fit that was killed at the start leaves an incomplete key.
    return (folder / KEY).is_file() or all(
        path.name.startswith(f".{KEY}.") for path in folder.iterdir()
    )
