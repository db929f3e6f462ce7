"""Numbers over seeds: mean and spread, and paired differences with their interval.

A grid has a row for each cell, with the columns `pair`, `lambda` and `seed`, and one for every
number that was measured. Cells may be missing; nothing is put in their place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t

from belong.errors import InputError

CELL = ["pair", "lambda", "seed"]
NEEDED = [
    "data.normal_test",
    "data.anomaly_test",
    "classification.accuracy",
    "classification.f1_macro",
    "calibration.alpha",
    "calibration.false_reject_training",
    *(
        f"detectors.{detector}.{number}"
        for detector in ("mahalanobis", "mlp_head")
        for number in ("auroc", "f1_normal", "false_reject", "false_accept")
    ),
]


def check(grid: pd.DataFrame) -> None:
    """Refuse a grid that lacks what every cell has, or has a cell twice.

    Raises:
        InputError: what is wrong with it.
    """
    for column in (*CELL, *NEEDED):
        if column not in grid:
            raise InputError(f"the grid has no column {column!r}")
        numbers = pd.to_numeric(grid[column], errors="coerce")
        bad = grid.loc[numbers.isna() & grid[column].notna(), column]
        if column != "pair" and len(bad):
            raise InputError(f"the grid's column {column!r} wants numbers, got {bad.iloc[0]!r}")
    if grid.empty:
        raise InputError("the grid has no cell")
    twice = grid[grid.duplicated(CELL)]
    if len(twice):
        pair, lambda_, seed = twice.iloc[0][CELL]
        raise InputError(f"the grid has the cell {pair}, lambda {lambda_:g}, seed {seed} twice")


def missing_cells(grid: pd.DataFrame) -> list[tuple[str, float, int]]:
    """Return the cells that a pair lacks of all its lambdas with all seeds of the grid."""
    has = set(grid[CELL].itertuples(index=False, name=None))
    seeds = sorted(grid["seed"].unique())
    return [
        (str(pair), float(lambda_), int(seed))
        for pair, cells in grid.groupby("pair")
        for lambda_ in sorted(cells["lambda"].unique())
        for seed in seeds
        if (pair, lambda_, seed) not in has
    ]


def over_seeds(grid: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return `mean`, `sd` (with n - 1; nan for one seed) and `n` for each `pair` and `lambda`."""
    values = grid.dropna(subset=[column]).groupby(["pair", "lambda"])[column]
    return values.agg(mean="mean", sd="std", n="count").reset_index()


def by_seed(grid: pd.DataFrame, pair: str, lambda_: float, column: str) -> pd.Series:
    """Return one number of the cells of a pair and lambda, with the seeds as index."""
    cells = grid[(grid["pair"] == pair) & (grid["lambda"] == lambda_)]
    return cells.set_index("seed")[column].dropna()


def mean_and_sd(values: pd.Series) -> str:
    """Return "mean ± sd (n)"; one seed has no spread, and none is a dash."""
    if len(values) < 2:
        return f"{values.iloc[0]:.4f} (1)" if len(values) else "-"
    return f"{values.mean():.4f} ± {values.std():.4f} ({len(values)})"


def widening(n: int, looks: int = 1) -> float:
    """Return how many standard errors a 95 % interval of n >= 2 numbers reaches to either side."""
    return float(t.ppf(1 - 0.025 / looks, n - 1))


@dataclass(frozen=True)
class Comparison:
    """A difference that a claim says is above zero, over the seeds that have both sides.

    Attributes:
        what: the difference in words.
        differences: (n,) one for each seed.
        looks: from how many candidates the first side was chosen for its mean; the interval is
            widened for it (Bonferroni).
    """

    what: str
    differences: np.ndarray
    looks: int = 1

    @classmethod
    def between(
        cls, what: str, first: pd.Series, second: pd.Series, looks: int = 1
    ) -> "Comparison":
        """Pair two numbers by their seeds; a seed that lacks one of them is left out."""
        return cls(what, (first - second).dropna().to_numpy(), looks)

    @property
    def n(self) -> int:
        """Return the number of seeds."""
        return len(self.differences)

    @property
    def mean(self) -> float:
        """Return the mean difference."""
        return float(self.differences.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Return Student's 95 % interval of the mean difference; it wants two seeds."""
        half = widening(self.n, self.looks) * float(self.differences.std(ddof=1)) / self.n**0.5
        return self.mean - half, self.mean + half

    @property
    def holds(self) -> bool | None:
        """Return whether the interval is above zero, or None with fewer than two seeds."""
        return None if self.n < 2 else self.interval[0] > 0


def best_of(grid: pd.DataFrame, pair: str, lambdas: Sequence[float], column: str) -> float | None:
    """Return the lambda with the highest mean, the smallest of equals; None if none was run."""
    means = {one: by_seed(grid, pair, one, column).mean() for one in sorted(lambdas)}
    run = {one: mean for one, mean in means.items() if not np.isnan(mean)}
    return max(run, key=lambda one: run[one]) if run else None
