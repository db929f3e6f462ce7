"""Compute means and spreads over seeds, and differences with intervals.

A grid has a row for each cell, with the columns `pair`, `lambda` and `seed`, and one for every
number that was measured. Cells may be missing; they are not imputed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from belong.runtime.errors import InputError

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
        for number in ("auroc", "fpr95", "false_reject", "false_accept")
    ),
]


def check(grid: pd.DataFrame) -> None:
    """Check the columns, numbers and cells of a grid.

    Raises:
        InputError: a column is missing or not numeric, there is no cell, or a cell occurs twice.
    """
    for column in (*CELL, *NEEDED):
        if column not in grid:
            raise InputError(f"the grid has no column {column!r}")
        numbers = pd.to_numeric(grid[column], errors="coerce")
        bad = grid.loc[numbers.isna() & grid[column].notna(), column]
        if column != "pair" and len(bad):
            raise InputError(f"the grid's column {column!r} expected numbers, got {bad.iloc[0]!r}")
    if grid.empty:
        raise InputError("the grid has no cell")
    twice = grid[grid.duplicated(CELL)]
    if len(twice):
        pair, lambda_, seed = twice.iloc[0][CELL]
        raise InputError(f"the grid has the cell {pair}, lambda {lambda_:g}, seed {seed} twice")


def missing_cells(grid: pd.DataFrame) -> list[tuple[str, float, int]]:
    """Return the missing cells: those of a pair's lambdas that lack a seed of the grid."""
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
    here = (grid["pair"] == pair) & (grid["lambda"] == lambda_)
    # The column is selected first: selecting rows of all columns takes a hundred times as long.
    return grid[column].set_axis(grid["seed"])[here.to_numpy()].dropna()


def mean_and_sd(values: pd.Series) -> str:
    """Return "mean ± sd (n)"; one seed has no spread, and none is a dash."""
    if len(values) < 2:
        return f"{values.iloc[0]:.4f} (1)" if len(values) else "-"
    return f"{values.mean():.4f} ± {values.std():.4f} ({len(values)})"


# The numbers of the grid have four decimals: each side of a difference may be off by half the last.
ROUNDING = 1e-4


def widening(freedom: float, looks: int = 1) -> float:
    """Return how many standard errors a 95% interval reaches to either side."""
    # Student's quantile; scipy.stats has it too, and takes half a second to be imported.
    return float(stdtrit(freedom, 1 - 0.025 / looks))


@dataclass(frozen=True)
class Comparison:
    """A difference that a claim says is above zero, measured over seeds.

    Attributes:
        what: the difference in words.
        n: how many seeds it was measured with.
        mean: the mean difference; nan if n is 0.
        error: the standard error of the mean; nan below two seeds.
        freedom: degrees of freedom of the error.
        looks: the number of candidates from which a side was chosen for its mean; the interval is
            widened accordingly (Bonferroni).
    """

    what: str
    n: int
    mean: float
    error: float
    freedom: float
    looks: int = 1

    @classmethod
    def of(cls, what: str, differences: ArrayLike, looks: int = 1) -> "Comparison":
        """Take the differences (n,) of n seeds."""
        values = np.asarray(differences, dtype=float)
        n = len(values)
        mean = float(values.mean()) if n else math.nan
        error = float(values.std(ddof=1)) / n**0.5 if n > 1 else math.nan
        return cls(what, n, mean, error, n - 1, looks)

    @classmethod
    def between(
        cls, what: str, first: pd.Series, second: pd.Series, looks: int = 1
    ) -> "Comparison":
        """Pair two numbers by their seeds; a seed that lacks one of them is left out."""
        return cls.of(what, (first - second).dropna().to_numpy(), looks)

    @classmethod
    def unpaired(cls, what: str, first: pd.Series, second: pd.Series) -> "Comparison":
        """Compare two independent samples of numbers by Welch's method, with unequal variances.

        Source: Welch, Biometrika 34, 1947.
        """
        n = min(len(first), len(second))
        if n < 2:
            return cls.of(what, [])
        of_first, of_second = (float(side.var()) / len(side) for side in (first, second))
        error = of_first + of_second
        parts = of_first**2 / (len(first) - 1) + of_second**2 / (len(second) - 1)
        freedom = error**2 / parts if parts else n - 1  # no spread at all: any number will do
        return cls(what, n, float(first.mean() - second.mean()), error**0.5, freedom)

    def plus(self, most: float) -> "Comparison":
        """Return the comparison with `most` added to the difference."""
        return replace(self, what=f"{self.what}, plus {most}", mean=self.mean + most)

    @property
    def interval(self) -> tuple[float, float]:
        """Return Student's 95% interval of the mean, widened by rounding; needs two seeds."""
        half = widening(self.freedom, self.looks) * self.error + ROUNDING
        return self.mean - half, self.mean + half

    @property
    def holds(self) -> bool | None:
        """Return whether the interval is above zero, or None with fewer than two seeds."""
        return None if self.n < 2 else self.interval[0] > 0


def best_of(grid: pd.DataFrame, pair: str, lambdas: Sequence[float], column: str) -> float | None:
    """Return the lambda with the highest mean, the smallest of equals; None if none was run.

    The means are over the seeds that all these lambdas share, if there are any: if training at a
    large lambda succeeded with some seeds only, these may be the easier ones.
    """
    every = {one: by_seed(grid, pair, one, column) for one in sorted(lambdas)}
    run = {one: values for one, values in every.items() if len(values)}
    if not run:
        return None
    seeds = sorted(set.intersection(*(set(values.index) for values in run.values())))
    means = {one: (values[seeds] if seeds else values).mean() for one, values in run.items()}
    return max(means, key=lambda one: means[one])
