"""Show a progress bar on standard error if it is a terminal."""

from typing import Any

from tqdm import tqdm

from belong.runtime.text import printable


def bar(total: int, what: str | None, unit: str) -> "tqdm[Any]":
    """Return a progress bar with the remaining time.

    The bar is silent if standard error is no terminal, and if `what`, its label, is empty.
    """
    silent = None if what else True  # None: silent if standard error is no terminal
    name = what and printable(what)
    return tqdm(
        total=total, desc=name, unit=unit, unit_scale=True, disable=silent, dynamic_ncols=True
    )
