"""Show a progress bar on standard error if it is a terminal."""

import sys
from typing import Any

from tqdm import tqdm

from belong.runtime.text import printable


def bar(total: int, what: str | None, unit: str) -> "tqdm[Any]":
    """Return a progress bar with the remaining time.

    The bar is silent if standard error is closed or is not a terminal, and if its label `what` is
    empty.
    """
    # None: silent if standard error is not a terminal.
    silent = None if what and sys.stderr is not None else True
    name = what and printable(what)
    return tqdm(
        total=total, desc=name, unit=unit, unit_scale=True, disable=silent, dynamic_ncols=True
    )
