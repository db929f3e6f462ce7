"""The colours of every figure and of the report's page."""

import itertools
from collections.abc import Iterable

import pandas as pd

IDX_FILE = "-idx3-ubyte/"


def is_ink(sources: pd.Series) -> bool:
    """Return whether images come from IDX files, by the sources (n,) that the manifest names."""
    return bool(sources.str.contains(IDX_FILE, regex=False).any())


# Two colours that stay apart for every kind of colour vision (Okabe and Ito, 2008).
NORMAL, ANOMALY = "#0072B2", "#D55E00"
# The two methods of paper A, and all together; the others are drawn thin.
STRONG = {"mahalanobis": "#0072B2", "mlp_head": "#D55E00", "combined": "#000000"}
WEAK = ("#56B4E9", "#009E73", "#CC79A7", "#E69F00", "#8c8c8c")


def lines(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return for each detector the colour of its line and its style: "-", "--" or ":".

    Those of `STRONG` have their own colour; the others take turns, in the order of `names`.
    """
    weak = itertools.cycle(itertools.product(("-", "--", ":"), WEAK))
    turns = {}
    for name in names:
        style, color = ("-", STRONG[name]) if name in STRONG else next(weak)
        turns[name] = (color, style)
    return turns
