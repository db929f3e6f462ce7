"""Compare the differences between thread counts with the spread over seeds.

A different thread count changes the order of summation. The last bits differ, training amplifies
the differences, and the result is a different network, as good as the first, as a different seed
would give. So the tolerance is the spread over seeds, and it is known before any comparison.
"""

import itertools
from collections.abc import Mapping

import pandas as pd

from belong.runtime.errors import InputError
from reproduction.paper.lambda_sweep import ACCURACY, detectors
from reproduction.paper.seed_statistics import ROUNDING, by_seed, widening

OF_DETECTORS = ("auroc", "fpr95", "false_reject")
COLUMNS = [
    "threads", "other_threads", "metric", "seeds", "mean", "sd", "tolerance", "within", "largest",
]  # fmt: skip
# Of runs that differ in nothing but the seed, this share lies within the tolerance.
SHARE = 0.95


def tolerance(values: pd.Series) -> float:
    """Return the difference that 95% of all pairs of runs with different seeds stay within.

    The difference of two runs has twice the variance of one, which is estimated from the seeds:
    Student's t with n - 1 degrees of freedom. Metrics have four decimals; rounding may add to it.

    Args:
        values: (n,) a metric of n runs with different seeds, n >= 2.
    """
    return widening(len(values) - 1) * 2**0.5 * float(values.std()) + ROUNDING


def compared(grid: pd.DataFrame, threads: Mapping[str, int]) -> pd.DataFrame:
    """Compare each metric of the first pair with that of the others, seed by seed.

    Args:
        grid: a row for each cell; all of one lambda.
        threads: pair -> the thread count that it was computed with. The others are compared with
            the first, whose spread over seeds gives the tolerance.

    Returns:
        COLUMNS: `seeds`, the number of seeds that both have; `mean`, `sd` and `tolerance` of the
        first, over its seeds; `within`, the number of seeds whose difference is at most the
        tolerance; `largest`, the largest absolute difference.

    Raises:
        InputError: there are several lambdas, or a pair has too few seeds.
    """
    lambdas = sorted(grid["lambda"].unique())
    if len(lambdas) != 1:
        raise InputError(
            f"expected cells of one lambda, got {', '.join(map('{:g}'.format, lambdas))}"
        )
    first, *others = threads
    measured = [
        ACCURACY,
        *(f"detectors.{name}.{number}" for name in detectors(grid) for number in OF_DETECTORS),
    ]
    rows = []
    for other, metric in itertools.product(others, measured):
        ours, theirs = (by_seed(grid, pair, lambdas[0], metric) for pair in (first, other))
        # The numbers have four decimals, and binary fractions differ by some 1e-17 more.
        apart = (ours - theirs).abs().dropna().round(6)
        if len(ours) < 2 or apart.empty:
            raise InputError(
                f"{metric}: {first} has {len(ours)} seeds, and {other} {len(apart)} of them; "
                f"expected at least 2 and 1"
            )
        most = tolerance(ours)
        row = ours.mean(), ours.std(), most, (apart <= most).sum(), apart.max()
        rows.append((threads[first], threads[other], metric, len(apart), *row))
    return pd.DataFrame(rows, columns=COLUMNS)


def outside(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of COLUMNS whose largest difference exceeds the tolerance."""
    return table[table["within"] < table["seeds"]]
