"""Define the errors that a user can cause, which a command reports without a traceback."""

from collections.abc import Sequence
from pathlib import Path


class InputError(ValueError):
    """A parameter, a file or a value in a file is wrong.

    The message says what is wrong, where, what was expected and what was found, in a line for each
    problem. A command prints the message and ends with the `exit_code` of the class. For a caller
    in Python it is a `ValueError`.
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
