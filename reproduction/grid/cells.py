"""Define a cell of the grid: the pipeline with a pair of data sets, a lambda and a seed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Cell:
    """One run of the pipeline.

    Attributes:
        pair: the name of a pair of data sets.
        weight: lambda, the weight of the center loss.
        seed: determines the split, the initial weights and the order of the images.
    """

    pair: str
    weight: float
    seed: int

    @property
    def name(self) -> str:
        """The name of its experiment."""
        return f"{self.pair}-lambda-{self.weight}-seed-{self.seed}"

    def settings(self, pair: Values) -> dict[str, Any]:
        """Return what the cell sets in params.yaml, given what its pair sets."""
        # Always a float: 1 and 1.0 are different values to DVC.
        return {**pair, "lambda": float(self.weight), "seed": self.seed}


def product(pairs: Iterable[str], weights: Iterable[float], seeds: Iterable[int]) -> set[Cell]:
    """Return a cell for each combination."""
    return {
        Cell(pair, float(weight), seed) for pair in pairs for weight in weights for seed in seeds
    }


def in_running_order(cells: Iterable[Cell]) -> list[Cell]:
    """Sort cells so that workers rarely compute the same thing at the same time.

    Results that do not depend on lambda are computed once for a pair and a seed and then come from
    DVC's run cache. So one cell of each goes first; the others follow seed by seed, so that an
    unfinished grid has all lambdas.
    """
    ordered = sorted(cells, key=lambda cell: (cell.seed, cell.pair, cell.weight))
    first = list({(cell.pair, cell.seed): cell for cell in reversed(ordered)}.values())[::-1]
    return first + [cell for cell in ordered if cell not in set(first)]


def changed(params: Values, settings: Values) -> dict[str, Any]:
    """Return `params` updated with `settings`: sections are merged, lists replaced."""
    result = dict(params)
    for key, value in settings.items():
        old = result.get(key)
        sections = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = changed(old, value) if sections else value  # type: ignore[arg-type]
    return result


def assignments(settings: Values, prefix: str = "") -> list[str]:
    """Return the settings as DVC's `-S` takes them, `normal.classes='1-9'`."""
    lines = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            lines += assignments(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key}={_literal(value)}")
    return lines


def _literal(value: object) -> str:
    """Write a value in the grammar of Hydra's overrides, which DVC uses."""
    if isinstance(value, list):
        return f"[{','.join(map(_literal, value))}]"
    if isinstance(value, str):
        # In quotes: 1-9 or 007 stays text, and a path may hold spaces and commas.
        return "'" + value.replace("'", r"\'") + "'"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)
