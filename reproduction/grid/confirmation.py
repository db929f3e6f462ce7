"""Confirm by a sample that the present code gives the same results as earlier code.

A refactoring makes every cell stale, and the grid takes hours. Instead, some cells, drawn at
random, are run again: if all their rows are equal, the other cells count as results of the present
code too. cells.csv states for each cell whether it was run or confirmed. If the edit changes a
share p of the cells, a sample of n cells misses it with probability (1 - p)^n.
"""

import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from belong.runtime.errors import InputError
from belong.runtime.storage import load_csv, save_csv
from belong.runtime.text import counted
from reproduction.grid.cells import Cell
from reproduction.grid.collect import (
    ANOMALY_SETS,
    CELLS,
    CONFIRMED,
    CURVES,
    GRID,
    KEY,
    POINTS,
)

SHORT = 12  # digits of a commit in cells.csv


def drawn(folder: Path, fingerprints: Mapping[Cell, str], n: int, *, commit: str) -> list[Cell]:
    """Draw n of the cells that other code has run; the commit is the seed of the draw.

    Raises:
        InputError: there are fewer.
    """
    table = load_csv(folder / CELLS, *KEY, "sha256").astype({"lambda": float})
    stale = [
        cell
        for pair, weight, seed, sha256 in table.itertuples(index=False)
        if fingerprints.get(cell := Cell(pair, weight, seed), sha256) != sha256
    ]
    if n > len(stale):
        raise InputError(
            f"--confirm: expected at most {len(stale)}, the cells of {folder / CELLS} that were "
            f"run with other code or parameters, got {n}"
        )
    return sorted(random.Random(commit).sample(sorted(stale), n))  # noqa: S311  (no secret)


def differences(folder: Path, new: Path, cells: Collection[Cell]) -> list[str]:
    """Return a line for each difference between the rows of cells in two folders of tables.

    Args:
        folder: the tables that are to be confirmed.
        new: the tables that hold these cells only.
        cells: those that were run again.
    """
    return [
        line
        for name in (CELLS, GRID, CURVES, POINTS, ANOMALY_SETS)
        if (new / name).exists()
        for line in _different(folder / name, new / name, cells)
    ]


def _different(old: Path, new: Path, cells: Iterable[Cell]) -> Iterator[str]:
    tables = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in (old, new)]
    key = [column for column in KEY if column in tables[1]]
    numbers = [column for column in KEY if column in key and column != "pair"]
    for table in tables:
        table[numbers] = table[numbers].astype(float)
    for cell in cells:
        values = {"pair": cell.pair, "lambda": cell.weight, "seed": float(cell.seed)}
        before, after = (
            table[(table[key] == [values[column] for column in key]).all(axis=1)]
            .drop(columns=[*key, "sha256", CONFIRMED], errors="ignore")
            .reset_index(drop=True)
            for table in tables
        )
        if after.empty:
            continue
        if len(before) != len(after):
            yield f"{cell.name}: {old.name}: {len(before)} rows before, {len(after)} now"
            continue
        # A column that is empty for a cell stands there for others.
        for column in sorted({*before, *after}):
            then, now = (
                table[column] if column in table else pd.Series("", table.index)
                for table in (before, after)
            )
            if (row := next(iter(then.index[then != now]), None)) is not None:
                yield (
                    f"{cell.name}: {old.name}: {column}: {then[row] or 'nothing'} before, "
                    f"{now[row] or 'nothing'} now"
                )


def confirm(
    folder: Path, fingerprints: Mapping[Cell, str], cells: Collection[Cell], *, commit: str
) -> int:
    """Write the present fingerprints to cells.csv; return the number of cells that were not run.

    Args:
        folder: the tables.
        fingerprints: every cell of the grid -> `Currency.fingerprint`.
        cells: those that were run again, without a difference.
        commit: what they were run with.
    """
    table = load_csv(folder / CELLS, *KEY, "sha256", "failure", CONFIRMED, as_text=True)
    others = 0
    for row in table.index:
        cell = Cell(table["pair"][row], float(table["lambda"][row]), int(table["seed"][row]))
        if fingerprints.get(cell, table["sha256"][row]) == table["sha256"][row]:
            continue
        earlier = f"{table[CONFIRMED][row]}; " if table[CONFIRMED][row] else ""
        note = f"{earlier}{counted(len(cells), 'cell')} run again at {commit[:SHORT]}"
        table.loc[row, CONFIRMED] = "" if cell in cells else note
        table.loc[row, "sha256"] = fingerprints[cell]
        others += cell not in cells
    save_csv(folder / CELLS, table)
    return others
