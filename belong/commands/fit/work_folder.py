"""The hidden folder beside a model that keeps what is done of an unfinished fit: `.NAME.work`."""

from pathlib import Path

from belong.runtime.errors import InputError
from belong.runtime.storage import remove_known
from belong.runtime.text import printable

KEY = "key"  # the file that says whose results these are; the last one to go
NAMES = ("*.safetensors", "*.sha256", ".*.checkpoint", ".*.part", "bundle", KEY)


def work_beside(output: Path) -> Path:
    """Return the folder of a model."""
    return output.with_name(f".{output.name}.work")


def check_work(folder: Path) -> None:
    """Refuse a folder of this name that no fit has made.

    Raises:
        InputError: says so.
    """
    if folder.is_symlink() or (folder.exists() and not _is_own(folder)):
        raise InputError(f"{printable(folder)}: is no work of belong fit; move it, or name the "
                         f"model otherwise")  # fmt: skip


def remove_work(folder: Path) -> None:
    """Remove what a fit has kept."""
    if folder.is_dir() and _is_own(folder):
        remove_known(folder, *NAMES)


def _is_own(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    # One that was killed at its very beginning has left half a key.
    return (folder / KEY).is_file() or all(
        path.name.startswith(f".{KEY}.") for path in folder.iterdir()
    )
