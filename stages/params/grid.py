"""The grid file: which pairs, with which lambdas and seeds."""

from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, Field

from belong.errors import InputError
from belong.grid.cells import Cell, product
from stages.params.section import Section, read

Value = TypeVar("Value")


def _each_once(values: list[Value]) -> list[Value]:
    if len(set(values)) < len(values):
        raise ValueError("each value once")
    return values


Names = Annotated[list[str], Field(min_length=1), AfterValidator(_each_once)]
Lambdas = Annotated[
    list[Annotated[float, Field(ge=0)]], Field(min_length=1), AfterValidator(_each_once)
]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# A part of an experiment's name, and so of a ref of git.
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class Sweep(Section):
    """Every pair with every lambda and every seed."""

    by_default: bool
    pairs: Names
    lambdas: Lambdas
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_each_once)]

    def cells(self) -> set[Cell]:
        """Return its cells."""
        return product(self.pairs, self.lambdas, self.seeds)


class Curves(Section):
    """The cells whose curves and features are kept, and the detectors whose curves."""

    lambdas: Lambdas
    seed: Seed
    detectors: Names


class Params(Section):
    """What the grid file holds."""

    pairs: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    sweeps: Annotated[dict[Name, Sweep], Field(min_length=1)]
    curves: Curves

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the grid file.

        Raises:
            InputError: a line for each mistake.
        """
        values = cls.parse(read(path), path)
        lines = [
            f"{path}: sweeps.{name}.pairs: no pair {pair!r}; there are {', '.join(values.pairs)}"
            for name, sweep in values.sweeps.items()
            for pair in sweep.pairs
            if pair not in values.pairs
        ]
        lines += [
            f"{path}: pairs.{pair}.{key}: stands in the sweeps, not in a pair"
            for pair, settings in values.pairs.items()
            for key in ("lambda", "seed")
            if key in settings
        ]
        if lines:
            raise InputError("\n".join(lines))
        return values

    def chosen(self, names: list[str] | None, path: Path) -> list[Sweep]:
        """Return the named sweeps, or those that are run by default.

        Raises:
            InputError: there is no sweep of a name.
        """
        for name in names or []:
            if name not in self.sweeps:
                known = ", ".join(self.sweeps)
                raise InputError(f"{path}: no sweep {name!r}; there are {known}")
        return [
            sweep
            for name, sweep in self.sweeps.items()
            if (name in names if names else sweep.by_default)
        ]

    def cells(self) -> set[Cell]:
        """Return the cells of all sweeps; those that two sweeps share are there once."""
        return {cell for sweep in self.sweeps.values() for cell in sweep.cells()}

    def with_curves(self) -> set[Cell]:
        """Return the cells whose curves are kept."""
        return product(self.pairs, self.curves.lambdas, [self.curves.seed])
