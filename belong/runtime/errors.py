"""What a user did wrong, said in one line."""

from pathlib import Path


class InputError(ValueError):
    """The input is wrong: a parameter, a file, a value in a file.

    The message is one line that names what is wrong, where, what came and what was expected.
    A program prints it and ends with this exit code; a library's caller sees a `ValueError`.
    """

    exit_code = 2


class MissingFileError(InputError):
    """A file is not there.

    Attributes:
        path: the file; who knows what makes it can say so.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: no such file")
        self.path = path


class TooManyBadFilesError(InputError):
    """Of a folder of images, more are damaged than the user allows."""

    exit_code = 3
