"""Compare the metrics of two runs of a pipeline with the spread over seeds.

Another processor or thread count yields another network, as another seed does: two runs that differ
in nothing else should lie no further apart than two seeds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LEAST = 5e-7  # metrics have four decimals, and binary fractions differ by some 1e-17 more


@dataclass(frozen=True)
class RunComparison:
    """The metrics of two runs, side by side.

    Attributes:
        differences: metric -> absolute difference, of the metrics that both runs have as numbers.
        spread: metric -> the most that two seeds differ by in 95 of 100 cases; of some metrics.
    """

    differences: Mapping[str, float]
    spread: Mapping[str, float]

    @property
    def within(self) -> int:
        """How many of the metrics with a known spread differ by no more than it."""
        return sum(self.differences[name] <= most + LEAST for name, most in self.spread.items())

    def __str__(self) -> str:
        """Return how many metrics are within the spread of seeds, and the largest difference."""
        if not self.differences:
            return "no metric to compare"
        if not any(one > LEAST for one in self.differences.values()):
            return "all metrics are equal"
        shown = self.spread or self.differences
        largest = max(shown, key=lambda name: self.differences[name])
        counted = (
            f"{self.within} of {len(self.spread)} metrics within the spread of seeds, "
            if self.spread
            else ""
        )
        return f"{counted}largest difference {self.differences[largest]:.4f} ({largest})"


def compare(
    metrics: Mapping[str, Any], other: Mapping[str, Any], *, spread: Mapping[str, float]
) -> RunComparison:
    """Compare the numbers of two runs.

    Args:
        metrics: nested, as metrics.json holds them; what is no number is left out.
        other: those of the other run.
        spread: metric, with dots between the keys -> the most that two seeds usually differ by.
    """
    ours, theirs = _numbers(metrics), _numbers(other)
    differences = {name: abs(ours[name] - theirs[name]) for name in ours if name in theirs}
    return RunComparison(
        differences, {name: most for name, most in spread.items() if name in differences}
    )


def leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings, each behind its keys with dots between them."""
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
