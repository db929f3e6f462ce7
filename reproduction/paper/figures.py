"""Draw figures 2 to 6 of paper A from our grid, with the published values.

Every function takes values and returns a figure; nothing here reads or writes a file. Points are
single seeds, lines their mean, bars one standard deviation; an open diamond is a published value.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from belong.reporting.figures import STYLE
from belong.reporting.palette import ANOMALY, NORMAL, STRONG
from reproduction.paper.claims import F1_OF_CLASSIFICATION, IMAGENET, LENET
from reproduction.paper.class_balance import Balance
from reproduction.paper.lambda_axis import draw_seeds, lambda_axis, places
from reproduction.paper.published import title
from reproduction.paper.published_rows import Balances
from reproduction.paper.seed_statistics import CELL
from reproduction.paper.sweep_figure import sweep

PUBLISHED = "#000000"
ROC_COLUMNS = ("pair", "lambda", "detector", "false_positive_rate", "true_positive_rate")
FEATURE_COLUMNS = ("pair", "lambda", "kind", "class_name", "x", "y")
METHODS = {"mahalanobis": "semi-supervised (mahalanobis)", "mlp_head": "supervised (mlp_head)"}


def all_figures(
    grid: pd.DataFrame,
    published: pd.DataFrame,
    balances: Balances,
    curves: pd.DataFrame,
    points: pd.DataFrame,
) -> dict[str, tuple[Figure, str]]:
    """Return, by name, every figure that has cells, with its caption."""
    lambdas = sorted(published["lambda"].unique())
    figures: dict[str, tuple[Figure, str]] = {}
    for pairs_of_network, network in ((LENET, ""), (IMAGENET, "_photos")):
        pairs = [pair for pair in pairs_of_network if pair in set(grid["pair"])]
        if pairs:
            figures[f"classification{network}"] = (
                classification(grid, pairs, lambdas),
                "Classification against lambda (figure 2 of the paper).",
            )
            for name, detector in (("semi_supervised", "mahalanobis"), ("supervised", "mlp_head")):
                figures[f"{name}{network}"] = (
                    detection(grid, published, balances, detector, pairs),
                    f"{METHODS[detector].capitalize()} detection against lambda "
                    f"(figure {3 if detector == 'mahalanobis' else 4}).",
                )
        pairs = [pair for pair in pairs_of_network if pair in set(curves["pair"])]
        if pairs:
            figures[f"roc{network}"] = roc(curves, pairs), "ROC curves of one seed (figure 5)."
        pairs = [pair for pair in pairs_of_network if pair in set(points["pair"])]
        if pairs:
            figures[f"features{network}"] = (
                features(points, pairs),
                "Features of one seed on their first two principal components (figure 6).",
            )
    for pair, cells in grid.groupby("pair"):
        if set(cells["lambda"]) - set(lambdas):
            figures[f"sweep_{pair}"] = (
                sweep(grid, str(pair)),
                f"{title(str(pair))}: AUROC of each detector against lambda on a finer scale, mean "
                "and one standard deviation over seeds, the best first; classification at the "
                "bottom. The figure shows where center loss helps a detector, and where it begins "
                "to harm classification.",
            )
    return figures


def classification(grid: pd.DataFrame, pairs: Sequence[str], lambdas: Sequence[float]) -> Figure:
    """Draw macro F1 of the classifier against lambda, a panel for each pair (paper A, figure 2).

    The paper gives only the range of its values for each network, drawn as a band.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9 * len(pairs), 3.5), layout="constrained")
        panels = figure.subplots(1, len(pairs), squeeze=False, sharey=True)[0]
        for axes, pair in zip(panels, pairs, strict=True):
            axes.axhspan(*F1_OF_CLASSIFICATION[pair], color="#000000", alpha=0.07, linewidth=0)
            draw_seeds(axes, grid, pair, lambdas, "classification.f1_macro", NORMAL)
            lambda_axis(axes, lambdas)
            axes.set(title=title(pair))
        panels[0].set(ylabel="F1 of classification, mean of the classes")
        band = Line2D([], [], color="#000000", alpha=0.15, linewidth=7)
        low, high = F1_OF_CLASSIFICATION[pairs[0]]
        label = f"published for this network: {low} to {high}"
        _legend(figure, {"ours": NORMAL}, [(band, label)])
    return figure


def detection(
    grid: pd.DataFrame,
    published: pd.DataFrame,
    balances: Balances,
    detector: str,
    pairs: Sequence[str],
) -> Figure:
    """Draw F1 and AUROC of one detector against lambda (paper A, figures 3 and 4).

    Args:
        grid: a row for each cell.
        published: the checked rows.
        balances: (pair, detector, lambda) -> class balance at which the published F1 was measured;
            our F1 is drawn at the same, and its line breaks where the balance changes.
        detector: `mahalanobis` or `mlp_head`.
        pairs: a column of panels for each.
    """
    color = STRONG[detector]
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9 * len(pairs), 6.0), layout="constrained")
        panels = figure.subplots(2, len(pairs), squeeze=False, sharex=True, sharey="row")
        floors = False
        for column, pair in enumerate(pairs):
            rows = published[(published["pair"] == pair) & (published["detector"] == detector)]
            lambdas = sorted(rows["lambda"])
            upper, lower = panels[:, column]
            rates = [grid[f"detectors.{detector}.false_{kind}"] for kind in ("reject", "accept")]
            cells = grid[CELL].assign(f1=np.nan)
            runs = []
            for balance, group in itertools.groupby(
                lambdas, key=lambda one: balances[pair, detector, one]
            ):
                run = list(group)
                runs.append(run)
                if balance is not None:
                    here = cells["lambda"].isin(run) & (cells["pair"] == pair)
                    cells.loc[here, "f1"] = balance.f1(*rates)[here]
            for run in runs:
                draw_seeds(upper, cells, pair, run, "f1", color, lambdas)
            draw_seeds(lower, grid, pair, lambdas, f"detectors.{detector}.auroc", color)
            x = places(lambdas)
            for axes, number in ((upper, "f1"), (lower, "auroc")):
                marks = [x[one] for one in rows["lambda"]]
                axes.plot(marks, rows[number], "D", markersize=6, markerfacecolor="none",
                          markeredgecolor=PUBLISHED, markeredgewidth=1.2, zorder=4)  # fmt: skip
                lambda_axis(axes, lambdas)
            upper.set(title=title(pair), xlabel="")
            lowest, highest = upper.get_ylim()
            lowest -= 0.1 * (highest - lowest)  # room for the balances
            upper.set_ylim(lowest, highest)
            for run in runs:
                balance = balances[pair, detector, run[0]]
                ends = [x[run[0]] - 0.35, x[run[-1]] + 0.35]
                if balance is not None:
                    upper.text(
                        (ends[0] + ends[1]) / 2, 0.05, _ratio(balance), fontsize=7.5, ha="center",
                        color="#555555", transform=upper.get_xaxis_transform(),
                    )  # fmt: skip
                    if balance.floor >= lowest:
                        upper.plot(ends, [balance.floor] * 2, color="#8c8c8c", linestyle="--",
                                   linewidth=1, zorder=1)  # fmt: skip
                        floors = True
        panels[0, 0].set(ylabel="F1 at the balance of the published row")
        panels[1, 0].set(ylabel="AUROC")
        extra = [_published_mark()]
        if floors:
            dashes = Line2D([], [], color="#8c8c8c", linestyle="--", linewidth=1)
            extra.append((dashes, "calling all images positive"))
        _legend(figure, {f"ours, {METHODS[detector]}": color}, extra)
    return figure


def roc(curves: pd.DataFrame, pairs: Sequence[str]) -> Figure:
    """Draw ROC curves at two lambdas, whole and their upper left corner (paper A, figure 5).

    Args:
        curves: columns `pair`, `lambda`, `detector`, `false_positive_rate`, `true_positive_rate`.
        pairs: a row of panels for each.
    """
    lambdas = sorted(curves["lambda"].unique())
    styles = dict(zip(lambdas, itertools.cycle(("--", "-")), strict=False))
    with rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.5 * len(pairs) + 0.5), layout="constrained")
        panels = figure.subplots(len(pairs), 2, squeeze=False)
        for (whole, corner), pair in zip(panels, pairs, strict=True):
            here = curves[curves["pair"] == pair]
            for detector, lambda_ in itertools.product(METHODS, lambdas):
                curve = here[(here["detector"] == detector) & (here["lambda"] == lambda_)]
                for axes in (whole, corner):
                    axes.plot(
                        curve["false_positive_rate"],
                        curve["true_positive_rate"],
                        color=STRONG[detector],
                        linestyle=styles[lambda_],
                        linewidth=1.6,
                        drawstyle="steps-post",
                        label=f"{METHODS[detector]}, lambda {lambda_:g}",
                    )
            whole.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
            whole.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), title=title(pair))
            corner.set(xscale="log", xlim=(1e-4, 1), ylim=(0.8, 1.004), title="upper left corner")
            whole.set(ylabel="normal images accepted")
        for axes in panels[-1]:
            axes.set(xlabel="anomalies accepted")
        figure.legend(
            *panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2
        )
    return figure


def features(points: pd.DataFrame, pairs: Sequence[str]) -> Figure:
    """Draw the features on their first two principal components (paper A, figure 6).

    Args:
        points: columns `pair`, `lambda`, `kind` (normal, anomaly or centroid), `class_name`, `x`,
            `y`.
        pairs: a row of panels for each; its columns are the lambdas.
    """
    lambdas = sorted(points["lambda"].unique())
    with rc_context(STYLE):
        figure = Figure(figsize=(4.1 * len(lambdas), 3.9 * len(pairs) + 0.4), layout="constrained")
        panels = figure.subplots(len(pairs), len(lambdas), squeeze=False)
        for (row, pair), (column, lambda_) in itertools.product(
            enumerate(pairs), enumerate(lambdas)
        ):
            axes = panels[row, column]
            here = points[(points["pair"] == pair) & (points["lambda"] == lambda_)]
            if here.empty:
                axes.set_axis_off()
                continue
            _cloud(axes, here)
            axes.set(
                title=f"{title(pair)}, lambda {lambda_:g}", aspect="equal", adjustable="datalim"
            )
            axes.xaxis.set_major_locator(_few())
            axes.yaxis.set_major_locator(_few())
        for axes in panels[-1]:
            axes.set(xlabel="first principal component")
        for axes in panels[:, 0]:
            axes.set(ylabel="second principal component")
        dots = [
            (Line2D([], [], color=color, marker="o", linestyle="", markersize=5), kind)
            for kind, color in (("normal image", NORMAL), ("anomaly", ANOMALY))
        ]
        circle = Line2D([], [], marker="o", linestyle="", markersize=10, markerfacecolor="white",
                        markeredgecolor="black")  # fmt: skip
        entries = [*dots, (circle, "centroid of a class")]
        figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=3)
    return figure


def _cloud(axes: Axes, points: pd.DataFrame) -> None:
    kinds = {"normal": NORMAL, "anomaly": ANOMALY}
    images = points[points["kind"].isin(kinds)]
    # In turn, so that neither kind covers the other.
    when = images.groupby("kind").cumcount() / images.groupby("kind")["x"].transform("size")
    images = images.loc[when.sort_values(kind="stable").index]
    axes.scatter(images["x"], images["y"], s=3, c=images["kind"].map(kinds), alpha=0.3,
                 linewidths=0, rasterized=True)  # fmt: skip
    centroids = points[points["kind"] == "centroid"]
    axes.scatter(
        centroids["x"], centroids["y"], s=110, facecolor="white", edgecolor="black", zorder=3
    )
    for name, x, y in centroids[["class_name", "x", "y"]].itertuples(index=False):
        # Digits beside empty cells are read as 7.0, not as 7.
        label = f"{name:g}" if isinstance(name, float) else str(name)
        above = 0 if len(label) <= 2 else 9  # points; a word does not fit in the circle
        axes.annotate(
            label,
            (x, y),
            (0, above),
            textcoords="offset points",
            ha="center",
            va="center_baseline",
            fontsize=7,
            zorder=4,
        )


def _few() -> MaxNLocator:
    return MaxNLocator(5)


def _ratio(balance: Balance) -> str:
    return f"{balance.positive} positive, {balance.normal / balance.anomaly:.3g} : 1"


def _published_mark() -> tuple[Line2D, str]:
    mark = Line2D([], [], marker="D", linestyle="", markersize=6, markerfacecolor="none",
                  markeredgecolor=PUBLISHED, markeredgewidth=1.2)  # fmt: skip
    return mark, "published"


def _legend(figure: Figure, lines: Mapping[str, str], extra: list[tuple[Line2D, str]]) -> None:
    """Say what line, points and bars are, and the rest."""
    entries: list[tuple[Line2D, str]] = []
    for name, color in lines.items():
        line = Line2D([], [], color=color, linewidth=1.6, marker="o", markersize=3.2)
        entries.append((line, f"{name}: seeds, mean and sd"))
    figure.legend(*zip(*entries, *extra, strict=True), loc="outside lower center", ncols=3)
