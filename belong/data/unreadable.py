"""Define the errors of an unreadable image file, and of a folder without a readable one."""

from collections.abc import Sequence
from pathlib import Path

from belong.runtime.errors import TooManyBadFilesError
from belong.runtime.text import printable

TOO_LARGE = "decoding needs more than 1 GiB of memory"


class UnreadableError(Exception):
    """The reason why a file cannot be decoded, in plain words."""


def none_readable(
    source: Path | str, unreadable: Sequence[tuple[str, str]], *, listed: Path | str = ""
) -> TooManyBadFilesError:
    """Return the error that no image of a folder, or of a list, can be read.

    Args:
        source: the folder, or the name of the list.
        unreadable: (path, reason) of each of its files, at least one.
        listed: the file that lists them, if there is one.
    """
    path, reason = unreadable[0]
    count, where = len(unreadable), f"; {printable(listed)} lists all" if listed else ""
    return TooManyBadFilesError(
        f"{printable(source)}: 0 of {count:,} images can be read; the first: {path} ({reason})"
        f"{where}",
        unreadable,
    )
