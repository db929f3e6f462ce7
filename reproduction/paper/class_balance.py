"""Compute F1 at the class balance of a published row.

F1 depends on the ratio of normal images to anomalies and on which of the two is the positive class.
The paper states neither, and both change from row to row; but the numbers of a row imply its share
of positives. From our rates of false rejects and false accepts, F1 follows for any balance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

# The share of positives of a row may differ this much from that of its balance: rounding alone
# moves the share of the best rows, which have few errors, by 0.03.
REACH = 0.05

Values = TypeVar("Values", float, np.ndarray, pd.Series)


@dataclass(frozen=True)
class Balance:
    """A ratio of normal images to anomalies, and the kind that counts as positive."""

    positive: str  # "normal" or "anomaly"
    normal: int
    anomaly: int

    @property
    def share(self) -> float:
        """Return the share of positives."""
        positives = self.normal if self.positive == "normal" else self.anomaly
        return positives / (self.normal + self.anomaly)

    @property
    def floor(self) -> float:
        """Return the F1 of calling every image positive."""
        return 2 * self.share / (1 + self.share)

    def f1(self, false_reject: Values, false_accept: Values) -> Values:
        """Return the F1 at these rates: rejected normal images and accepted anomalies."""
        missed, wrong = false_reject, false_accept
        if self.positive == "anomaly":
            missed, wrong = wrong, missed
        hits = self.share * (1 - missed)
        return 2 * hits / (2 * hits + self.share * missed + (1 - self.share) * wrong)

    def __str__(self) -> str:
        return f"{self.positive}, {self.normal:,} : {self.anomaly:,}"


def known_balances(test_counts: tuple[int, int] | None) -> list[Balance]:
    """Return the balances that a row may have: our test set's, 1 : 1 and 10 : 1.

    Args:
        test_counts: normal images and anomalies of our test set; None if we did not run the pair,
            which leaves 1 : 1.
    """
    counts = [(1, 1)]
    if test_counts is not None:
        counts = (
            [(1, 1), (10, 1)]
            if test_counts[0] == test_counts[1]
            else [test_counts, (1, 1), (10, 1)]
        )
    return [Balance(kind, *pair) for kind in ("normal", "anomaly") for pair in counts]


def balance_of(share: float, balances: Sequence[Balance]) -> Balance | None:
    """Return the (first) balance nearest to a share of positives, or None if all are too far."""
    nearest = min(balances, key=lambda balance: abs(balance.share - share))
    return nearest if abs(nearest.share - share) <= REACH else None
