"""Write what the grid of photos found: the text of `reports/stand-in/README.md`.

It stands in for the half of the paper that wants ImageNet-30 and a GPU. Nothing in it is a
measurement of the paper's claims, and the page says so before any number.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from belong.runtime.text import table
from reproduction.paper.anomaly_sets import OWN, auroc_of
from reproduction.paper.lambda_sweep import ACCURACY, detectors
from reproduction.paper.seed_statistics import Comparison, by_seed, mean_and_sd, missing_cells

SUPERVISED = "mlp_head"
# The classes that are neither normal nor the anomaly. They lie in the folder of the normal ones, so
# that they count as what is left out of it.
THIRD = "left_out"


def page(grid: pd.DataFrame, sets: pd.DataFrame, pairs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page.

    Args:
        grid: a row for each cell.
        sets: a row for each cell, detector and set of anomalies.
        pairs: what each pair sets in params.yaml.
    """
    run = [pair for pair in pairs if pair in set(grid["pair"])]
    parts = [
        "# Photos, in the place of ImageNet-30",
        "",
        "Made by the stage `stand_in` from [grid.csv](grid.csv), "
        "[anomaly_sets.csv](anomaly_sets.csv) and [params.yaml](params.yaml), which says how to "
        "get the images and run it again.",
        "",
        _what(grid, [pairs[pair] for pair in run]),
        "",
        _counts(grid, run, pairs),
        "",
        "## Classification",
        "",
        _classification(grid, run, pairs),
        "",
        "## Detection",
        "",
        "AUROC on the anomalies of the pair; the last columns compare the largest lambda with the "
        f"smallest. Guessing has 0.5. Of the detectors, `{SUPERVISED}` left out, which anomalies "
        "have trained, so many are no better than guessing:",
        "",
        *(_guessing(grid, pair) for pair in run),
        *(_detection(grid, pair) for pair in run),
        "",
        "## Anomalies of a kind that trained nothing",
        "",
        _third(sets, run),
        "",
    ]
    return "\n".join(parts)


def _what(grid: pd.DataFrame, settings: Sequence[Mapping[str, Any]]) -> str:
    """Say what was trained, and what follows from it for the paper: nothing."""
    names = _range(PurePosixPath(one["normal"]["path"]).name for one in settings)
    sides = _range(one["images"]["side_px"] for one in settings)
    epochs = _range(one["train"]["epochs"] for one in settings)
    counts = _range(int(count) for count in grid["data.normal_train"])
    seeds = grid["seed"].nunique()
    said = (
        f"**This is not the paper's experiment.** It is {names} at {sides} px and not ImageNet-30 "
        f"at 224, EfficientNet-B0 from drawn weights, {epochs} epochs on {counts} training images "
        f"and {seeds} seed{'s' * (seeds > 1)}: what a processor without a GPU does in minutes for "
        "each cell. It shows that the photo half of the grid runs from folders to tables. It "
        "neither confirms nor refutes a number of the paper."
    )
    if missing := missing_cells(grid):
        cells = "; ".join(f"{pair}, lambda {one:g}, seed {seed}" for pair, one, seed in missing)
        said += f" Missing cells: {cells}."
    return said


def _counts(grid: pd.DataFrame, run: Sequence[str], pairs: Mapping[str, Any]) -> str:
    rows = []
    for pair in run:
        cell = grid[grid["pair"] == pair].iloc[0]
        names = [
            ", ".join(pairs[pair][kind]["classes"]) for kind in ("normal", "anomaly", "unseen")
        ]
        numbers = ("normal_train", "normal_calibration", "normal_test", "anomaly_test")
        rows.append([pair, *names, *(f"{cell[f'data.{number}']:.0f}" for number in numbers)])
    headings = ["pair", "normal", "anomalies", "unseen", "trained with", "calibrated with",
                "normal tests", "anomaly tests"]  # fmt: skip
    return table(headings, rows, left=4)


def _classification(grid: pd.DataFrame, run: Sequence[str], pairs: Mapping[str, Any]) -> str:
    rows = []
    for pair in run:
        guess = 1 / len(pairs[pair]["normal"]["classes"])
        for one in _lambdas(grid, pair):
            accuracy = by_seed(grid, pair, one, ACCURACY)
            rows.append([pair, f"{one:g}", mean_and_sd(accuracy), f"{guess:.4f}"])
    return table(["pair", "lambda", "accuracy", "guessing"], rows)


def _detection(grid: pd.DataFrame, pair: str) -> str:
    lambdas = _lambdas(grid, pair)
    found = []
    for name in detectors(grid):
        column = f"detectors.{name}.auroc"
        values = [by_seed(grid, pair, one, column) for one in lambdas]
        if len(values[0]):
            change = Comparison.between(name, values[-1], values[0])
            low_high = "-"
            if change.holds is not None:
                low_high = "{:+.4f} to {:+.4f}".format(*change.interval)
            mean = f"{change.mean:+.4f}" if change.n and len(lambdas) > 1 else "-"
            shown = [f"`{name}`", *map(mean_and_sd, values), mean, low_high]
            found.append((max(one.mean() for one in values if len(one)), shown))
    found.sort(key=lambda one: -one[0])
    headings = ["detector", *(f"lambda {one:g}" for one in lambdas), "change", "95 % interval"]
    return "\n".join(["", f"### {pair}", "", table(headings, [shown for _, shown in found])])


def _guessing(grid: pd.DataFrame, pair: str) -> str:
    """Return how many detectors do not find the anomalies of a pair, at each lambda."""
    parts = []
    for one in _lambdas(grid, pair):
        names = [name for name in detectors(grid) if name != SUPERVISED]
        means = [by_seed(grid, pair, one, f"detectors.{name}.auroc").mean() for name in names]
        poor = sum(mean <= 0.5 for mean in means)
        parts.append(f"at lambda {one:g}, {poor} of {len(names)}")
    return f"- {pair}: {'; '.join(parts)}"


def _third(sets: pd.DataFrame, run: Sequence[str]) -> str:
    """Set the supervised head on the anomalies of its kind beside it on the third part."""
    rows = []
    for pair in run:
        for one in _lambdas(sets, pair):
            own, third = (
                auroc_of(sets, pair, one, SUPERVISED, anomalies) for anomalies in (OWN, THIRD)
            )
            rows.append([pair, f"{one:g}", mean_and_sd(own), mean_and_sd(third)])
    headings = ["pair", "lambda", "the anomalies of its training", "the unseen classes"]
    return "\n".join(
        [
            f"AUROC of `{SUPERVISED}`, the detector that anomalies have trained:",
            "",
            table(headings, rows),
        ]
    )


def _lambdas(cells: pd.DataFrame, pair: str) -> list[float]:
    return sorted(cells.loc[cells["pair"] == pair, "lambda"].unique())


def _range(values: Any) -> str:
    """Return the one value, or the smallest and the largest."""
    ones = sorted(set(values))
    return str(ones[0]) if len(ones) == 1 else f"{ones[0]} to {ones[-1]}"
