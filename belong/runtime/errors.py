"""Define the errors that a user can cause; each has a message of one line."""

from collections.abc import Sequence
from pathlib import Path


class InputError(ValueError):
    """A parameter, a file or a value in a file is wrong.

    The message is one line: what is wrong, where, what was expected and what was found. A command
    prints the message and ends with this exit code. For a caller in Python it is a `ValueError`.
    """

    exit_code = 2


class MissingFileError(InputError):
    """A file does not exist.

    Attributes:
        path: the file. A caller that knows which command writes the file can add it to the message.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: no such file")
        self.path = path


class TooManyBadFilesError(InputError):
    """A folder has more unreadable images than the user allows, or no readable one.

    Attributes:
        unreadable: (path, reason) of each unreadable file, if no image can be read.
    """

    exit_code = 3

    def __init__(self, message: str, unreadable: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.unreadable = tuple(unreadable)
