"""What a user did wrong, said in one line."""


class InputError(ValueError):
    """The input is wrong: a parameter, a file, a value in a file.

    The message is one line that names what is wrong, where, what came and what was wanted.
    A program prints it and ends with this exit code; a library's caller sees a `ValueError`.
    """

    exit_code = 2


class TooManyBadFilesError(InputError):
    """Of a folder of images, more are damaged than the user allows."""

    exit_code = 3
