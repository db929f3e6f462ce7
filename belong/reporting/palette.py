"""Define the colors of the figures and of the report's page."""

import itertools
from collections.abc import Iterable

import pandas as pd

IDX_FILE = "-idx3-ubyte/"


def is_ink(sources: pd.Series) -> bool:
    """Return whether the images come from IDX files, by their sources (n,) in the manifest."""
    return bool(sources.str.contains(IDX_FILE, regex=False).any())


# Two colors that every kind of color vision can distinguish (Okabe and Ito, 2008).
NORMAL, ANOMALY = "#0072B2", "#D55E00"
# The two methods of paper A, and the combination; all other detectors have thin lines.
STRONG = {"mahalanobis": "#0072B2", "mlp_head": "#D55E00", "combined": "#000000"}
WEAK = ("#56B4E9", "#009E73", "#CC79A7", "#E69F00", "#8c8c8c")


def lines(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return detector -> color and style ("-", "--" or ":") of its line.

    Detectors in `STRONG` have fixed colors; the others cycle through `WEAK`, in the order of
    `names`.
    """
    weak = itertools.cycle(itertools.product(("-", "--", ":"), WEAK))
    turns = {}
    for name in names:
        style, color = ("-", STRONG[name]) if name in STRONG else next(weak)
        turns[name] = (color, style)
    return turns
