"""Compare detectors on each set of anomalies, over seeds.

A table of sets has a row for each cell, detector and set, with the columns `COLUMNS`.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from belong.runtime.text import table
from reproduction.paper.published import in_order, title
from reproduction.paper.seed_statistics import Comparison, mean_and_sd

COLUMNS = ("pair", "lambda", "seed", "detector", "anomalies", "auroc", "fpr95")
OWN = "anomaly"
COMBINED = "combined"
# The combined detector counts as even with the best single one down to this far below it.
LEEWAY = 0.01


def auroc_of(
    sets: pd.DataFrame, pair: str, lambda_: float, detector: str, anomalies: str
) -> pd.Series:
    """Return the AUROC of a detector on one set of anomalies, with the seeds as index."""
    cells = sets[(sets["pair"] == pair) & (sets["lambda"] == lambda_)]
    rows = cells[(cells["detector"] == detector) & (cells["anomalies"] == anomalies)]
    return rows.set_index("seed")["auroc"].dropna()


def further(sets: pd.DataFrame, pair: str, lambda_: float) -> list[str]:
    """Return the sets of a pair and lambda other than the pair's own anomalies, by name."""
    cells = sets[(sets["pair"] == pair) & (sets["lambda"] == lambda_)]
    return sorted(set(cells["anomalies"]) - {OWN})


def named(anomalies: str) -> str:
    """Return a set in words."""
    return "the pair's own" if anomalies == OWN else anomalies.replace("_", " ")


def against_best_single(sets: pd.DataFrame) -> pd.DataFrame:
    """Return for each pair, lambda and set the single detector with the highest mean AUROC.

    Returns:
        Columns: `pair`, `lambda`, `anomalies`, `best` (its name), `at_best` and `combined` (AUROC
        by seed), `apart` (the comparison of combined less best). Where no cell has the combined
        detector, there is no row.
    """
    rows = []
    for _, group in sets.groupby(["pair", "lambda", "anomalies"]):
        pair, anomalies = (str(group[name].iloc[0]) for name in ("pair", "anomalies"))
        lambda_ = float(group["lambda"].iloc[0])
        means = group.groupby("detector")["auroc"].mean().dropna()
        if COMBINED not in means or len(means) < 2:
            continue
        best = str(means.drop(COMBINED).idxmax())
        at_best, combined = (
            auroc_of(sets, pair, lambda_, name, anomalies) for name in (best, COMBINED)
        )
        apart = Comparison.between(anomalies, combined, at_best)
        rows.append((pair, lambda_, anomalies, best, at_best, combined, apart))
    columns = ["pair", "lambda", "anomalies", "best", "at_best", "combined", "apart"]
    return pd.DataFrame(rows, columns=columns)


def text(sets: pd.DataFrame) -> str:
    """Compare the combined detector with the best single one, as Markdown.

    Args:
        sets: the columns `COLUMNS`.
    """
    differences = against_best_single(sets)
    if differences.empty:
        return "No cell has the combined detector on several sets of anomalies."
    below = differences[[one.mean < -LEEWAY for one in differences["apart"]]]
    wins = below["best"].eq("mlp_head").sum()
    lines = [
        "The combined detector, compared with the best single detector on each set. The best "
        "detector differs between the sets, and was selected on the test images. The mean AUROC of "
        f"`combined` is more than {LEEWAY:g} lower in {len(below)} of {len(differences)} rows; in "
        f"{wins} of these rows the best detector is `mlp_head`, the only one trained on anomalies.",
    ]
    headings = ["anomalies", "best single detector", "its AUROC", "AUROC of combined",
                "combined minus best", "95% interval", "n"]  # fmt: skip
    for pair in in_order(differences["pair"].unique()):
        for lambda_, rows in differences[differences["pair"] == pair].groupby("lambda"):
            body = [_row(row) for row in rows.sort_values("anomalies").to_dict("records")]
            lines += [f"{title(pair)}, lambda {lambda_:g}:", table(headings, body, left=2)]
    return "\n\n".join(lines)


def _row(row: Mapping[Any, Any]) -> list[str]:
    apart: Comparison = row["apart"]
    interval = "-"
    if apart.holds is not None:
        low, high = apart.interval
        interval = f"{low:+.4f} to {high:+.4f}"
    mean = f"{apart.mean:+.4f}"
    return [
        named(row["anomalies"]),
        f"`{row['best']}`",
        mean_and_sd(row["at_best"]),
        mean_and_sd(row["combined"]),
        f"**{mean}**" if apart.mean < -LEEWAY else mean,
        interval,
        str(apart.n),
    ]
