"""Progress on standard error, and only where somebody watches."""

from typing import Any

from tqdm import tqdm

from belong.runtime.text import printable


def bar(total: int, what: str | None, unit: str) -> "tqdm[Any]":
    """Return a progress bar with the time left, silent where stderr is no terminal.

    Without a name `what` it is silent everywhere.
    """
    silent = None if what else True  # None: where stderr is no terminal
    name = what and printable(what)
    return tqdm(
        total=total, desc=name, unit=unit, unit_scale=True, disable=silent, dynamic_ncols=True
    )
