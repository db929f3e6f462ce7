"""The hidden folder of a run that is not finished, beside its results: `.unfinished`.

Several files cannot appear at once. A run that is killed between two of them leaves some of its
own; the file `run` says whose they are, so that the same command, and no other, writes over them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from belong.runtime.errors import InputError
from belong.runtime.storage import make_folder, read_bytes, remove_known, save_text
from belong.runtime.text import printable

NAME, RUN = ".unfinished", "run"


def is_unfinished(output: Path, run: str) -> bool:
    """Return whether the results in a folder are of this run, which has not finished them."""
    try:
        return read_bytes(output / NAME / RUN) == run.encode("utf-8", "backslashreplace")
    except OSError:
        return False


@contextmanager
def unfinished(output: Path, run: str, *names: str) -> Iterator[Path]:
    """Yield the folder of a run; it goes when the block succeeds.

    Args:
        output: of the results.
        run: stands for the run; it is the same in each try.
        names: patterns of the files that the run puts into the folder. Others stay.

    Raises:
        InputError: there is something else of this name, or a link.
    """
    folder = output / NAME
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        kind = "a link" if folder.is_symlink() else "no folder"
        raise InputError(f"{printable(folder)}: is {kind}; remove it, or write to another place")
    make_folder(folder)
    save_text(folder / RUN, run.encode("utf-8", "backslashreplace").decode())
    yield folder
    remove_known(folder, *names, ".*.part", RUN)
