"""Define the error of an unreadable image file."""

TOO_LARGE = "decoding needs more than 1 GiB of memory"


class UnreadableError(Exception):
    """The reason why a file cannot be decoded, in plain words."""
