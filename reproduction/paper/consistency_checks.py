"""Find contradictions between the published numbers, and between numbers and text."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise

import pandas as pd

from reproduction.paper.claims import RECOMMENDED
from reproduction.paper.published import title

SEMI, SUPERVISED = "mahalanobis", "mlp_head"


def row_name(row: "pd.Series") -> str:
    """Return a published row's name."""
    return f"{title(row['pair'])}, {row['detector']}, lambda {row['lambda']:g}"


def same_auroc(published: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return (detector, pair, other pair) where the AUROCs are the same at every lambda."""
    statements = []
    for detector, rows in published.groupby("detector"):
        curves = {
            str(pair): tuple(group.sort_values("lambda")["auroc"])
            for pair, group in rows.groupby("pair", sort=False)
        }
        for one, other in combinations(curves, 2):
            if curves[one] == curves[other]:
                statements.append((str(detector), one, other))
    return statements


def same_accuracy(published: pd.DataFrame) -> list[tuple[float, list[str]]]:
    """Return the accuracies that rows of different F1 and of errors above 1% share."""
    return [
        (float(str(accuracy)), [row_name(row) for _, row in rows.iterrows()])
        for accuracy, rows in published[published["accuracy"] < 0.99].groupby("accuracy")
        if len(set(rows["f1"])) > 1
    ]


def mirrored(published: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the rows of equal accuracy and F1 of which one has the other's recall as precision."""
    rows = [row for _, row in published.iterrows()]
    return [
        (row_name(one), row_name(other))
        for one, other in combinations(rows, 2)
        if (one["accuracy"], one["f1"], one["precision"], one["recall"])
        == (other["accuracy"], other["f1"], other["recall"], other["precision"])
        and one["precision"] != one["recall"]
    ]


@dataclass(frozen=True)
class Statement:
    """A sentence of the text about the table, and what the table says."""

    text: str
    computed: str
    agrees: bool


def statements(published: pd.DataFrame) -> list[Statement]:
    """Return the paper's statements on its table, each checked against the table.

    Args:
        published: the checked rows.
    """
    lenet = published["network"] == "lenet"
    semi = published["detector"] == SEMI
    pairs = published["pair"].nunique()
    return [
        _range(published[semi & lenet], "semi-supervised, LeNet", 0.8695, 0.9913),
        _range(published[semi & ~lenet], "semi-supervised, EfficientNet", 0.7172, 0.8149),
        _range(published[~semi & lenet], "supervised, LeNet", 0.9881, 0.9990),
        _range(published[~semi & ~lenet], "supervised, EfficientNet", 0.8083, 0.9727),
        _count(
            published[semi],
            f"Center loss improved the semi-supervised F1 in all {pairs} experiments.",
            lambda f1: f1.drop(0.0).max() > f1[0.0],
            pairs,
        ),
        _count(
            published[semi],
            "The semi-supervised F1 rose by more than 0.03 in three cases.",
            lambda f1: f1.drop(0.0).max() - f1[0.0] > 0.03,
            3,
        ),
        _count(
            published[semi],
            "The best lambda for the semi-supervised F1 is 0.1 or 1.",
            lambda f1: f1.idxmax() in RECOMMENDED,
            pairs,
        ),
        _count(
            published[~semi],
            "The best supervised F1 is that at lambda 0.",
            lambda f1: f1.idxmax() == 0,
            pairs,
        ),
        _worst(published[~semi], 0.19),
        _count(
            published[semi],
            "Increasing lambda improves the semi-supervised AUROC.",
            lambda auroc: all(low < high for low, high in pairwise(auroc)),
            pairs,
            "auroc",
        ),
        _count(
            published[~semi],
            "Center loss decreased the supervised AUROC (lambda 1 against 0).",
            lambda auroc: auroc[1.0] < auroc[0.0],
            pairs,
            "auroc",
        ),
    ]


def _range(rows: pd.DataFrame, which: str, low: float, high: float) -> Statement:
    least, most = rows["f1"].min(), rows["f1"].max()
    return Statement(
        f"F1, {which}: {low:.4f} to {high:.4f}.",
        f"{least:.4f} to {most:.4f}",
        (least, most) == (low, high),
    )


def _count(
    rows: pd.DataFrame,
    text: str,
    holds: Callable[[pd.Series], bool],
    expected: int,
    column: str = "f1",
) -> Statement:
    """Count the pairs whose numbers, by lambda, have a property."""
    curves = {
        str(pair): group.set_index("lambda")[column].sort_index()
        for pair, group in rows.groupby("pair", sort=False)
    }
    holding = [title(pair) for pair, curve in curves.items() if holds(curve)]
    failing = [title(pair) for pair in curves if title(pair) not in holding]
    share = f"so in {len(holding)} of {len(curves)}"
    if failing:
        share += f", not for {'; '.join(failing)}"
    return Statement(text, share, len(holding) == expected)


def _worst(rows: pd.DataFrame, published: float) -> Statement:
    drops = {
        str(pair): group.loc[group["lambda"] == 0, "f1"].iloc[0] - group["f1"].min()
        for pair, group in rows.groupby("pair", sort=False)
    }
    pair = max(drops, key=lambda name: drops[name])
    return Statement(
        f"Center loss lowered the supervised F1 by {published:.2f} in the worst case.",
        f"by {drops[pair]:.4f}, {title(pair)}",
        round(drops[pair], 2) == published,
    )
