"""Describe the effect of center loss on each detector and on classification, for one pair."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from reproduction.paper.lambda_sweep import ACCURACY, F1, against_zero, best_lambdas, falls_from


def in_words(grid: pd.DataFrame, pair: str) -> str:
    """Return a list in Markdown; all that it says is worked out from the cells.

    A detector gains if the interval of its gain, widened for the choice of the best lambda, lies
    above zero; like accuracy, it has fallen where its mean is below that at lambda 0 by more than
    one standard deviation over the seeds there.
    """
    table = best_lambdas(grid, pair)
    table = table[[len(values) > 0 for values in table["at_zero"]]]
    lambdas = grid.loc[grid["pair"] == pair, "lambda"].nunique()
    if table.empty or lambdas < 2:
        return "The effect of center loss cannot be tested: lambda 0 or all others are missing."
    rows = table.to_dict("records")
    still = [row["detector"] for row in rows if _is_still(grid, pair, row["detector"])]
    moved = [row for row in rows if row["detector"] not in still]
    gains = sorted((row for row in moved if row["gain"].holds), key=lambda row: -row["gain"].mean)
    others = [row for row in moved if not row["gain"].holds]
    first = f"Center loss raises the AUROC of {len(gains)} of {len(rows)} detectors"
    if gains:
        first += f", the largest gain first: {', '.join(map(_gain, gains))}"
    sentences = [f"{first}."]
    if others:
        listed = ", ".join(f"`{row['detector']}` at {row['lambda']:g}" for row in others)
        sentences.append(f"No lambda clearly raises the AUROC of the others; best: {listed}.")
    if still:
        listed = ", ".join(f"`{name}`" for name in still)
        sentences.append(f"The AUROC is the same at every lambda for {listed}.")
    if losses := ", ".join(_losses(grid, pair, [row["detector"] for row in moved])):
        sentences.append(f"The AUROC is below that at 0 by more than its spread: {losses}.")
    sentences += [_classes(grid, pair, *one) for one in (("accuracy", ACCURACY), ("macro F1", F1))]
    start = falls_from(against_zero(grid, pair, ACCURACY))
    if start is not None and gains:
        before = sum(row["lambda"] < start for row in gains)
        sentences.append(
            f"{before} of the {len(gains)} gains are largest at a lambda below {start:g}."
        )
    sentences += _few_seeds(grid, pair)
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _is_still(grid: pd.DataFrame, pair: str, name: str) -> bool:
    """Return whether a detector has the same AUROC at every lambda, seed by seed."""
    of_seed = grid[grid["pair"] == pair].groupby("seed")[f"detectors.{name}.auroc"]
    return bool((of_seed.max() == of_seed.min()).all())


def _gain(row: Mapping[Any, Any]) -> str:
    before, after = (row[column].mean() for column in ("at_zero", "at_best"))
    return f"`{row['detector']}` from {before:.4f} to {after:.4f} at {row['lambda']:g}"


def _losses(grid: pd.DataFrame, pair: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        start = falls_from(against_zero(grid, pair, f"detectors.{name}.auroc"))
        if start is not None:
            yield f"`{name}` from {start:g} on"


def _classes(grid: pd.DataFrame, pair: str, words: str, column: str) -> str:
    """Return the lambda with the best value of a metric, and the lambda from which it falls."""
    changes = against_zero(grid, pair, column)
    means = {
        one: values.mean() for one, values in zip(changes["lambda"], changes["values"], strict=True)
    }
    best = max(means, key=lambda one: means[one])
    start = falls_from(changes)
    falls = "falls by more than its spread at none of the lambdas"
    if start is not None:
        falls = f"is lower by more than its spread from {start:g} on ({means[start]:.4f} there)"
    return (
        f"The {words} of classification is {means[0.0]:.4f} at 0, highest at {best:g} "
        f"({means[best]:.4f}), and {falls}."
    )


def _few_seeds(grid: pd.DataFrame, pair: str) -> Iterator[str]:
    """Yield a sentence for each lambda with missing seeds, whose means are over fewer seeds."""
    counts = grid[grid["pair"] == pair].groupby("lambda")["seed"].nunique()
    for lambda_, count in counts[counts < counts.max()].items():
        yield f"At {lambda_:g} only {count} of {counts.max()} seeds have a result."
