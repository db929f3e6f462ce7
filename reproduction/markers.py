"""The generated parts of a page, between `<!-- NAME: generated -->` and `<!-- NAME: end -->`."""

import re

from belong.runtime.errors import InputError


def replaced(text: str, name: str, new: str) -> str:
    """Put `new` between the markers `name` of `text`.

    Raises:
        InputError: the markers are not there, or more than once.
    """
    start, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    whole, count = re.subn(
        f"({re.escape(start)}\n)(?:.*?\n)?({re.escape(end)})",
        lambda match: f"{match[1]}{new}\n{match[2]}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise InputError(f"expected {start} ... {end} once, got it {count} times")
    return whole


def generated(text: str, name: str) -> str:
    """Return what stands between the markers `name` of `text`."""
    match = re.search(
        f"<!-- {re.escape(name)}: generated -->\n(.*?)\n<!-- {re.escape(name)}: end -->",
        text,
        re.DOTALL,
    )
    if not match:
        raise InputError(f"expected a part {name} between markers")
    return match[1]
