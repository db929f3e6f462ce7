"""Compare the metrics of two runs of a pipeline with the spread over seeds.

Another processor or thread count yields another network, as another seed does. Two such runs should
not differ more than two runs with different seeds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LEAST = 5e-7  # minimum difference; metrics have four decimals, plus binary rounding errors


@dataclass(frozen=True)
class RunComparison:
    """The metrics of two runs, side by side.

    Attributes:
        differences: metric -> absolute difference, for the metrics that are numbers in both runs.
        spread: metric -> maximum difference of two seeds in 95 of 100 cases; for some metrics.
    """

    differences: Mapping[str, float]
    spread: Mapping[str, float]

    @property
    def within(self) -> int:
        """The number of metrics whose difference is within their known spread."""
        return sum(self.differences[name] <= most + LEAST for name, most in self.spread.items())

    def __str__(self) -> str:
        """Return how many metrics are within the spread of seeds, and the largest difference."""
        if not self.differences:
            return "no metric to compare"
        if not any(one > LEAST for one in self.differences.values()):
            return "all metrics are equal"
        metrics = self.spread or self.differences
        largest = max(metrics, key=lambda name: self.differences[name])
        count = (
            f"{self.within} of {len(self.spread)} metrics within the spread of seeds, "
            if self.spread
            else ""
        )
        return f"{count}largest difference {self.differences[largest]:.4f} ({largest})"


def compare(
    metrics: Mapping[str, Any], other: Mapping[str, Any], *, spread: Mapping[str, float]
) -> RunComparison:
    """Compare the numbers of two runs.

    Args:
        metrics: nested metrics, as in metrics.json; other values than numbers are ignored.
        other: the metrics of the other run.
        spread: dotted key of a metric -> maximum difference of two seeds in 95 of 100 cases.
    """
    ours, theirs = _numbers(metrics), _numbers(other)
    differences = {name: abs(ours[name] - theirs[name]) for name in ours if name in theirs}
    return RunComparison(
        differences, {name: most for name, most in spread.items() if name in differences}
    )


def leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and the values of nested mappings."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _numbers(tree: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in leaves(tree)
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
