"""Say how many of a thing there are."""


def counted(count: int, one: str, more: str = "") -> str:
    """Return "1 image", "2 images", "1,000 classes"."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
