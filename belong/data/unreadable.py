"""Define the error of an unreadable image file."""

TOO_LARGE = "needs more than the 1 GiB of memory that a file may take"


class UnreadableError(Exception):
    """The reason why a file cannot be decoded, in plain words."""
