"""Draw every detector against lambda in a small panel each, with classification at the bottom.

Eighteen lines in one panel cannot be told apart; in eighteen panels with the same axes they can be
compared. AUROC is drawn on a logarithmic axis of 1 - AUROC.
"""

import math

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from belong.reporting.figures import STYLE
from belong.reporting.palette import ANOMALY, NORMAL
from reproduction.paper.lambda_axis import draw_seeds, lambda_axis, places
from reproduction.paper.lambda_sweep import ACCURACY, F1, against_zero, detectors, falls_from
from reproduction.paper.published import title
from reproduction.paper.seed_statistics import best_of, over_seeds

COLUMNS = 4
# Numbers have four decimals: values closer to 1 than this are drawn here.
LEAST_MISSING = 5e-5
TICKS = [0.5, 0.1, 0.01, 0.001, 0.0001]


def sweep(grid: pd.DataFrame, pair: str) -> Figure:
    """Draw mean and spread over seeds of each detector's AUROC, the best detector first.

    Where accuracy has fallen by more than its spread over seeds (`falls_from`), all panels are
    shaded; a dashed line is the mean at lambda 0, a dot the best mean.
    """
    cells = grid[grid["pair"] == pair]
    lambdas = sorted(cells["lambda"].unique())
    curves = {name: over_seeds(cells, f"detectors.{name}.auroc") for name in detectors(cells)}
    tables = {name: table.set_index("lambda") for name, table in curves.items() if len(table)}
    bests = {name: best_of(cells, pair, lambdas, f"detectors.{name}.auroc") for name in tables}
    best = {name: one for name, one in bests.items() if one is not None}
    ranked = sorted(best, key=lambda name: -tables[name]["mean"][best[name]])
    rows = math.ceil(len(ranked) / COLUMNS)
    start = falls_from(against_zero(cells, pair, ACCURACY))
    x = places(lambdas)
    with rc_context(STYLE):
        figure = Figure(figsize=(10.4, 1.7 * rows + 3.2), layout="constrained")
        heights = (1.7 * rows, 2.8)
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
        panels = _panels(upper, rows, len(ranked))
        for axes, name in zip(panels, ranked, strict=True):
            axes.set_title(name, fontsize=9, loc="left")
            _detector(axes, tables[name], best[name])
        halves = lower.subplots(1, 2, squeeze=False)[0]
        for axes, column, of in zip(halves, (ACCURACY, F1), ("accuracy", "macro F1"), strict=True):
            axes.set_title(f"classification: {of}", fontsize=9, loc="left")
            draw_seeds(axes, cells, pair, lambdas, column, NORMAL)
        for axes in (*panels, *halves):
            lambda_axis(axes, lambdas)
            axes.tick_params(labelsize=8)
            if start is not None:
                axes.axvspan(
                    x[start] - 0.2, x[max(lambdas)] + 0.4, color=ANOMALY, alpha=0.08, linewidth=0
                )
        for axes in panels:
            axes.set_xlabel("")  # it stands below the last row
        upper.supylabel("AUROC", fontsize=9)
        upper.suptitle(f"{title(pair)}: AUROC of each detector against lambda", fontsize=10)
        lower.legend(*_legend(start), loc="outside lower center", ncols=5, fontsize=8)
    return figure


def _panels(figure: SubFigure, rows: int, n: int) -> list[Axes]:
    """Return n panels with the same axes; only those at the left and at the foot are labeled."""
    plan = figure.add_gridspec(rows, COLUMNS)
    panels: list[Axes] = []
    for place in range(n):
        first = panels[0] if panels else None
        axes = figure.add_subplot(plan[divmod(place, COLUMNS)], sharex=first, sharey=first)
        axes.tick_params(labelleft=place % COLUMNS == 0, labelbottom=place + COLUMNS >= n)
        panels.append(axes)
    if panels:
        panels[0].set_yscale("log")
        panels[0].invert_yaxis()
        panels[0].yaxis.set_major_locator(FixedLocator(TICKS))
        panels[0].yaxis.set_minor_locator(NullLocator())
        panels[0].yaxis.set_major_formatter(FuncFormatter(lambda missing, _: f"{1 - missing:.4g}"))
    return panels


def _detector(axes: Axes, table: pd.DataFrame, best: float) -> None:
    """Draw the AUROC of one detector.

    Args:
        axes: a panel of `_panels`.
        table: `mean` and `sd` by lambda.
        best: the lambda that is marked.
    """
    x = places(list(table.index))
    spread = table["sd"].fillna(0.0)
    low, middle, high = (
        (1 - table["mean"] - shift).clip(lower=LEAST_MISSING) for shift in (-spread, 0.0, spread)
    )
    axes.fill_between(list(x.values()), low, high, color=NORMAL, alpha=0.2, linewidth=0)
    axes.plot(list(x.values()), middle, color=NORMAL, linewidth=1.4)
    if 0 in x:
        axes.axhline(middle[0], color="#555555", linestyle="--", linewidth=0.8, zorder=1)
    axes.plot(x[best], middle[best], "o", color=NORMAL, markersize=5)
    axes.set_title(
        f"{table['mean'][best]:.4f} at {best:g}", fontsize=8, loc="right", color="#555555"
    )


def _legend(start: float | None) -> tuple[list[Line2D | Patch], list[str]]:
    """Return what the marks mean."""
    entries: list[tuple[Line2D | Patch, str]] = [
        (Line2D([], [], color=NORMAL, linewidth=1.4), "mean over seeds"),
        (Patch(color=NORMAL, alpha=0.2, linewidth=0), "one standard deviation"),
        (Line2D([], [], color=NORMAL, marker="o", linestyle="", markersize=5), "best mean"),
        (Line2D([], [], color="#555555", linestyle="--", linewidth=0.8), "at lambda 0"),
    ]
    if start is not None:
        label = "accuracy has fallen by more than its spread"
        entries.append((Patch(color=ANOMALY, alpha=0.15, linewidth=0), label))
    marks, names = zip(*entries, strict=True)
    return list(marks), list(names)
