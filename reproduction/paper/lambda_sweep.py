"""Find the best lambda of each detector, and the lambda from which classification suffers."""

import pandas as pd

from reproduction.paper.seed_statistics import ROUNDING, Comparison, best_of, by_seed

ACCURACY = "classification.accuracy"
F1 = "classification.f1_macro"


def detectors(grid: pd.DataFrame) -> list[str]:
    """Return the detectors that a grid has an AUROC of."""
    columns = [column.split(".") for column in grid.columns if column.startswith("detectors.")]
    return sorted({name for _, name, number in columns if number == "auroc"})


def best_lambdas(grid: pd.DataFrame, pair: str) -> pd.DataFrame:
    """Return for each detector of a pair the lambda with the highest mean AUROC.

    Returns:
        Columns: `detector`, `lambda`, `at_best` and `at_zero` (AUROC by seed), `gain` (the
        comparison of the two). The highest gain comes first.
    """
    lambdas = sorted(grid.loc[grid["pair"] == pair, "lambda"].unique())
    rows = []
    for name in detectors(grid):
        column = f"detectors.{name}.auroc"
        best = best_of(grid, pair, lambdas, column)
        if best is not None:
            at_best, at_zero = (by_seed(grid, pair, one, column) for one in (best, 0.0))
            gain = Comparison.between(name, at_best, at_zero, looks=max(1, len(lambdas) - 1))
            rows.append((name, best, at_best, at_zero, gain))
    rows.sort(key=lambda row: -row[2].mean())
    return pd.DataFrame(rows, columns=["detector", "lambda", "at_best", "at_zero", "gain"])


def against_zero(grid: pd.DataFrame, pair: str, column: str) -> pd.DataFrame:
    """Return a number of a pair's classifier at each lambda, and whether it has fallen.

    It has fallen where its mean is below that at lambda 0 by more than the spread over seeds
    there (one standard deviation), and by more than four decimals can tell.

    Returns:
        Columns: `lambda`, `values` (by seed), `change` (comparison with lambda 0), `fallen`
        (None if lambda 0 has fewer than two seeds).
    """
    zero = by_seed(grid, pair, 0.0, column)
    rows = []
    for one in sorted(grid.loc[grid["pair"] == pair, "lambda"].unique()):
        values = by_seed(grid, pair, one, column)
        change = Comparison.between(f"{one:g}", values, zero)
        least = max(zero.std(), ROUNDING)
        fallen = None if len(zero) < 2 else bool(zero.mean() - values.mean() > least)
        rows.append((one, values, change, fallen))
    return pd.DataFrame(rows, columns=["lambda", "values", "change", "fallen"])


def falls_from(table: pd.DataFrame) -> float | None:
    """Return the smallest lambda from which all have fallen; None if the largest has not."""
    start = None
    for lambda_, fallen in zip(table["lambda"], table["fallen"], strict=True):
        if not fallen:
            start = None
        elif start is None:
            start = float(lambda_)
    return start
