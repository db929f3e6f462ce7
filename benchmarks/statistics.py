"""Compute the numbers of a row: ratios of pairs, shares of a limit, exponents of growth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """The median of some numbers and their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of at least one number."""
        return cls(float(np.median(values)), min(values), max(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return our time over theirs, round by round: what slows both of a pair cancels."""
    return Spread.of([a / b for a, b in zip(ours, theirs, strict=True)])


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return p of values ~ size^p, by least squares on the logarithms."""
    slope, _ = np.polyfit(np.log(sizes), np.log(values), 1)
    return float(slope)
