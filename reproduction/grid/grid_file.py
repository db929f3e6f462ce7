"""Read the grid file: pairs of data sets, lambdas and seeds."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, Field

from belong.runtime.errors import InputError
from belong.runtime.typed_yaml import Section, read
from reproduction.grid.cells import Cell, product

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
Value = TypeVar("Value")


def _each_once(values: list[Value]) -> list[Value]:
    if not values:
        raise ValueError("at least one value")
    if len(set(values)) < len(values):
        raise ValueError("distinct values")
    return values


Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[list[Seed], AfterValidator(_each_once)]
Lambdas = Annotated[list[Annotated[float, Field(ge=0)]], AfterValidator(_each_once)]
Names = Annotated[list[str], AfterValidator(_each_once)]


class Sweep(Section):
    """A sweep: every pair with every lambda and every seed."""

    by_default: bool
    pairs: Names
    lambdas: Lambdas
    seeds: Seeds

    def cells(self) -> set[Cell]:
        """Return the cells of the sweep."""
        return product(self.pairs, self.lambdas, self.seeds)


class Curves(Section):
    """Which cells keep their curves and features, and for which detectors."""

    lambdas: Lambdas
    seed: Seed
    detectors: Names


# Built without validation, which requires at least one value in each list.
NO_CURVES = Curves.model_construct(lambdas=[], seed=0, detectors=[])


class GridFile(Section):
    """The contents of the grid file."""

    pairs: dict[str, dict[str, Any]]
    sweeps: dict[str, Sweep]
    curves: Curves = NO_CURVES

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the grid file.

        Raises:
            InputError: the file has errors; the message has a line for each.
        """
        values = cls.parse(read(path), path)
        if lines := list(values._mistakes()):
            raise InputError("\n".join(f"{path}: {line}" for line in lines))
        return values

    def _mistakes(self) -> Iterator[str]:
        """Yield the errors that concern more than one section."""
        for pair, settings in self.pairs.items():
            if not NAME.fullmatch(
                pair
            ):  # the name is part of an experiment's name and of a git ref
                yield f"pairs.{pair}: expected a name of a-z, 0-9 and single hyphens"
            for key in {"lambda", "seed"} & set(settings):
                yield f"pairs.{pair}.{key}: belongs to a sweep, not to a pair"
        for name, sweep in self.sweeps.items():
            for pair in sweep.pairs:
                if pair not in self.pairs:
                    known = ", ".join(self.pairs)
                    yield f"sweeps.{name}.pairs: expected one of {known}, got {pair!r}"

    def chosen(self, names: Sequence[str], path: Path) -> set[Cell]:
        """Return the cells of the named sweeps, or of the default sweeps.

        Raises:
            InputError: a name is unknown.
        """
        for name in names:
            if name not in self.sweeps:
                known = ", ".join(self.sweeps)
                raise InputError(f"{path}: sweeps: expected one of {known}, got {name!r}")
        default = [name for name, sweep in self.sweeps.items() if sweep.by_default]
        return {cell for name in names or default for cell in self.sweeps[name].cells()}

    def cells(self) -> set[Cell]:
        """Return the cells of all sweeps; a cell that two sweeps share occurs once."""
        return {cell for sweep in self.sweeps.values() for cell in sweep.cells()}

    def with_curves(self) -> set[Cell]:
        """Return the cells that keep their curves."""
        return product(self.pairs, self.curves.lambdas, [self.curves.seed])
