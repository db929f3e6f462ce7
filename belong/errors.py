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


def no_memory_left(error: BaseException) -> bool:
    """Return whether an exception says that memory, of the machine or of a GPU, is used up.

    torch has a class of its own for a GPU, which is known by its name, for many commands need no
    torch; for a processor it raises a plain RuntimeError.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "can't allocate memory" in str(
        error
    )


OUT_OF_MEMORY = "out of memory; smaller batches, or smaller images, want less"
