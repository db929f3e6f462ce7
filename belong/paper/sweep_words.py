"""Say of one pair which detectors center loss helps and which it harms, and what classification."""

from collections.abc import Iterable, Iterator

import pandas as pd

from belong.paper.seeds import by_seed
from belong.paper.sweep import ACCURACY, F1, against_zero, best_lambdas, falls_from


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
        return "What center loss does cannot be said: lambda 0 or every other one is missing."
    still = [name for name in table["detector"] if _is_still(grid, pair, name)]
    moved = table[~table["detector"].isin(still)]
    clear = [bool(gain.holds) for gain in moved["gain"]]
    gains = moved[clear].sort_values("gain", key=lambda some: [-one.mean for one in some])
    others = moved[[not one for one in clear]]
    said = [f"Center loss lifts the AUROC of {len(gains)} of {len(table)} detectors"]
    if len(gains):
        said[0] += f", the largest gain first: {', '.join(_gains(gains))}"
    said[0] += "."
    if len(others):
        listed = ", ".join(f"{_code(row[0])} at {row[1]:g}" for row in others.itertuples(False))
        said.append(f"No lambda clearly lifts that of the others; they are best: {listed}.")
    if still:
        listed = ", ".join(map(_code, still))
        said.append(f"It is the same at every lambda for {listed}.")
    if losses := ", ".join(_losses(grid, pair, moved["detector"])):
        said.append(f"AUROC lies below that at 0 by more than its spread: {losses}.")
    said += [_classes(grid, pair, *one) for one in (("accuracy", ACCURACY), ("macro F1", F1))]
    start = falls_from(against_zero(grid, pair, ACCURACY))
    if start is not None and len(gains):
        before = int((gains["lambda"] < start).sum())
        said.append(f"Of the {len(gains)} gains, {before} are largest at a lambda below {start:g}.")
    said += _few_seeds(grid, pair)
    return "\n".join(f"- {sentence}" for sentence in said)


def _is_still(grid: pd.DataFrame, pair: str, name: str) -> bool:
    """Return whether a detector has the same AUROC at every lambda, seed by seed."""
    of_seed = grid[grid["pair"] == pair].groupby("seed")[f"detectors.{name}.auroc"]
    return bool((of_seed.max() == of_seed.min()).all())


def _gains(gains: pd.DataFrame) -> Iterator[str]:
    for name, best, at_best, at_zero, _ in gains.itertuples(index=False):
        yield f"{_code(name)} from {at_zero.mean():.4f} to {at_best.mean():.4f} at {best:g}"


def _losses(grid: pd.DataFrame, pair: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        start = falls_from(against_zero(grid, pair, f"detectors.{name}.auroc"))
        if start is not None:
            yield f"{_code(name)} from {start:g} on"


def _classes(grid: pd.DataFrame, pair: str, words: str, column: str) -> str:
    """Return where a number of the classifier is highest, and from where on it has fallen."""
    found = against_zero(grid, pair, column)
    means = found["values"].map(pd.Series.mean)
    best, zero = means.idxmax(), by_seed(grid, pair, 0.0, column).mean()
    start = falls_from(found)
    there = means[found["lambda"] == start]
    falls = "falls for good at no lambda that was run"
    if start is not None:
        falls = f"has fallen by more than its spread from {start:g} on ({there.item():.4f} there)"
    return (
        f"The {words} of classification is {zero:.4f} at 0, highest at {found['lambda'][best]:g} "
        f"({means[best]:.4f}), and {falls}."
    )


def _few_seeds(grid: pd.DataFrame, pair: str) -> Iterator[str]:
    """Say at which lambdas seeds are missing: the means there are those of the others."""
    counts = grid[grid["pair"] == pair].groupby("lambda")["seed"].nunique()
    for lambda_, count in counts[counts < counts.max()].items():
        yield f"At {lambda_:g} only {count} of {counts.max()} seeds have a result."


def _code(name: str) -> str:
    return f"`{name}`"
