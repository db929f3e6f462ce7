"""Measure how much results differ."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr, t

from benchmarks.contract import Check

Checker = Callable[[Sequence[Any], Sequence[Any]], Check]


def relative(tolerance: float) -> Checker:
    """Compare arrays: the largest difference, as a share of the largest number.

    If a peer did only the first part of the rows, only these rows are compared.
    """

    def check(ours: Sequence[Any], theirs: Sequence[Any]) -> Check:
        worst = 0.0
        for one, other in zip(ours, theirs, strict=True):
            a, b = (np.asarray(values, dtype=np.float64) for values in (one, other))
            worst = np.maximum(worst, np.abs(a[: len(b)] - b).max() / np.abs(b).max())
        return Check("largest difference, relative", float(worst), tolerance)

    return check


def pixels(tolerance: float) -> Checker:
    """Compare images: the mean difference, in levels of 0..255."""

    def check(ours: Sequence[Any], theirs: Sequence[Any]) -> Check:
        worst = _largest(
            float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).mean())
            for one, other in zip(ours, theirs, strict=True)
        )
        return Check("mean difference in levels", worst, tolerance)

    return check


def order(tolerance: float) -> Checker:
    """Compare scores that depend on chance: 1 minus Spearman's correlation of their ranks."""

    def check(ours: Sequence[Any], theirs: Sequence[Any]) -> Check:
        worst = _largest(
            1 - float(spearmanr(one, other).statistic)
            for one, other in zip(ours, theirs, strict=True)
        )
        return Check("1 - rank correlation", worst, tolerance)

    return check


def labels(tolerance: float) -> Checker:
    """Compare classes: the share of images with different classes."""

    def check(ours: Sequence[Any], theirs: Sequence[Any]) -> Check:
        worst = max(
            float(np.mean(np.asarray(one) != np.asarray(other)))
            for one, other in zip(ours, theirs, strict=True)
        )
        return Check("share of other classes", worst, tolerance)

    return check


def _largest(differences: Iterable[float]) -> float:
    """Return the largest number, or NaN if one is NaN; Python's `max` would skip a NaN."""
    return float(np.max(list(differences)))


def mean_of_seeds(once: float) -> Checker:
    """Compare a number over seeds: its means may differ as those of 99 in 100 such pairs do.

    That is Student's test of two means. One round alone has no spread: `once` is then allowed.
    """

    def check(ours: Sequence[Any], theirs: Sequence[Any]) -> Check:
        a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        difference, what = float(abs(a.mean() - b.mean())), "difference of the means"
        if len(a) == 1:
            return Check(what, difference, once)
        error = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))
        return Check(what, difference, float(error * t.ppf(0.995, 2 * len(a) - 2)))

    return check
