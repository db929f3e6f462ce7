"""Draw an axis of lambdas: logarithmic, with a separate 0, and values over seeds."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from reproduction.paper.seed_statistics import by_seed

# Powers of ten between two labels.
APART = 0.8


def places(lambdas: Sequence[float]) -> dict[float, float]:
    """Return where each lambda stands: by its logarithm, and 0 one step left of the smallest."""
    positive = [one for one in lambdas if one > 0]
    zero = math.log10(min(positive)) - 1 if positive else 0.0
    return {one: math.log10(one) if one > 0 else zero for one in lambdas}


def labelled(x: Mapping[float, float]) -> list[float]:
    """Return the lambdas that have room for a label, far enough from the one before."""
    named: list[float] = []
    for one in sorted(x):
        if not named or x[one] - x[named[-1]] >= APART:
            named.append(one)
    return named


def lambda_axis(axes: Axes, lambdas: Sequence[float]) -> None:
    """Label the lambdas; a break in the axis sets 0, which has no logarithm, apart."""
    x = places(lambdas)
    named = labelled(x)
    axes.set_xticks([x[one] for one in named], [f"{one:g}" for one in named])
    axes.set_xticks([x[one] for one in x if one not in named], minor=True)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(
        xlabel="lambda, weight of the center loss",
        xlim=(min(x.values()) - 0.4, max(x.values()) + 0.4),
    )
    if 0 in x and len(x) > 1:
        axes.text(
            x[0] + 0.5,
            0,
            "//",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="center",
            bbox={"color": "white", "pad": 0.4},
            zorder=5,
        )


def draw_seeds(
    axes: Axes,
    grid: pd.DataFrame,
    pair: str,
    lambdas: Sequence[float],
    column: str,
    color: str,
    axis: Sequence[float] | None = None,
) -> None:
    """Draw a number against lambda: every seed, their mean and one standard deviation."""
    x = places(axis or lambdas)
    means, spreads, at = [], [], []
    for one in lambdas:
        values = by_seed(grid, pair, one, column)
        if values.empty:
            continue
        # Seeds stand beside each other, so that none covers another.
        beside = x[one] + 0.12 * np.linspace(-1, 1, len(values)) if len(values) > 1 else [x[one]]
        axes.plot(beside, values, "o", color=color, alpha=0.35, markersize=3.2, markeredgewidth=0)
        at.append(x[one])
        means.append(values.mean())
        spreads.append(values.std() if len(values) > 1 else 0.0)
    axes.errorbar(at, means, spreads, color=color, linewidth=1.6, elinewidth=1, capsize=3, zorder=3)
