"""Mark the results of an unfinished run with a hidden folder, `.unfinished`.

Several files cannot appear at once, so a killed run leaves some of its results. The file `run` in
the hidden folder names the run, so that only the same command overwrites them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from belong.runtime.errors import InputError
from belong.runtime.storage import make_work_folder, read_bytes, remove_known, save_text
from belong.runtime.text import printable

NAME, RUN = ".unfinished", "run"


def is_unfinished(output: Path, run: str) -> bool:
    """Return whether the results in a folder belong to an unfinished try of this run."""
    try:
        return read_bytes(output / NAME / RUN) == run.encode("utf-8", "backslashreplace")
    except OSError:
        return False


@contextmanager
def unfinished(output: Path, run: str, *names: str) -> Iterator[Path]:
    """Yield the hidden folder of a run, and remove it if the block succeeds.

    Args:
        output: the folder of the results.
        run: identifies the run, and is the same in each try.
        names: patterns of the files that the run puts into the hidden folder. Other files stay.

    Raises:
        InputError: the name is taken by a file or a link.
    """
    yield mark(output, run)
    unmark(output, *names)


def mark(output: Path, run: str) -> Path:
    """Mark the results in a folder as those of an unfinished run; return the hidden folder.

    Raises:
        InputError: the name is taken by a file or a link.
    """
    folder = output / NAME
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        kind = "a link" if folder.is_symlink() else "no folder"
        raise InputError(f"{printable(folder)}: is {kind}; remove it, or choose another output")
    make_work_folder(folder)
    save_text(folder / RUN, run.encode("utf-8", "backslashreplace").decode())
    return folder


def unmark(output: Path, *names: str) -> None:
    """Remove the hidden folder of a run and the files of these patterns in it."""
    remove_known(output / NAME, *names, ".*.part", RUN)
