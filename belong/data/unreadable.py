"""Why a file gives no image."""


class UnreadableError(Exception):
    """Why a file gives no image, in plain words."""
