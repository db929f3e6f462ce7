"""Collect the results of many experiments in tables."""

import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pandas as pd

from belong.runtime.errors import InputError
from belong.runtime.storage import load_csv, save_csv
from reproduction.grid.cells import Cell
from reproduction.grid.repository import Experiment, Repository

METRICS = "reports/metrics_all.json"
ROC = "reports/plots/roc/{}.csv"
FEATURES = "reports/plots/features.csv"
SETS = "reports/plots/anomaly_sets.csv"
RATES = ["false_positive_rate", "true_positive_rate"]
POINT = ["kind", "class_name", "x", "y"]
OF_SETS = ["detector", "anomalies", "auroc", "fpr95"]
KEY = ["pair", "lambda", "seed"]
GRID, CURVES, POINTS, ANOMALY_SETS = "grid.csv", "roc.csv", "features.csv", "anomaly_sets.csv"
CELLS = "cells.csv"  # a cell, the fingerprint of what made it, and why its training failed
CONFIRMED = "confirmed"  # column of cells.csv: see `confirmation`; "" if the present code ran it
Rows = dict[str, dict[Cell, pd.DataFrame]]  # table -> cell -> its rows


def gathered(folder: Path, fingerprints: Mapping[Cell, str]) -> dict[Cell, str]:
    """Return the cells in the tables that have the present fingerprint.

    The experiments of DVC stay in the repository where they ran; the tables are committed.

    Returns:
        Cell -> the reason why its training failed, as it would again; "" if it has a result.
    """
    return {cell: failure for cell, (failure, _) in _gathered(folder, fingerprints).items()}


def _gathered(folder: Path, fingerprints: Mapping[Cell, str]) -> dict[Cell, tuple[str, str]]:
    """Return the reason of the failure, and how the cell was confirmed; see `gathered`."""
    if not (folder / CELLS).is_file():
        return {}
    columns = "sha256", "failure", CONFIRMED
    table = load_csv(folder / CELLS, *KEY, *columns).fillna({"failure": "", CONFIRMED: ""})
    return {
        cell: (failure, confirmed)
        for pair, weight, seed, sha256, failure, confirmed in table.itertuples(index=False)
        if fingerprints.get(cell := Cell(pair, weight, seed)) == sha256
    }


def gather(
    repository: Repository,
    finished: Mapping[Cell, Experiment],
    curves: Collection[Cell],
    detectors: Collection[str],
    folder: Path,
    fingerprints: Mapping[Cell, str],
    failed: Mapping[Cell, str],
) -> list[str]:
    """Write grid.csv, roc.csv, features.csv, anomaly_sets.csv and cells.csv; return what they lack.

    Args:
        repository: holds the experiments.
        finished: the cells with experiments; the rows of other `gathered` cells stay.
        curves: the cells whose curves and features are wanted; the detectors' numbers on each set
            of anomalies are gathered for every seed at the lambdas of these cells.
        detectors: the detectors whose curves are wanted.
        folder: where the tables go. The same experiments give the same bytes.
        fingerprints: every cell of the grid -> `Currency.fingerprint`.
        failed: the cells whose training has just failed, with the reason.

    Returns:
        A line for each file that a wanted cell lacks.

    Raises:
        InputError: no cell is finished; the tables stay as they are.
    """
    before = _gathered(folder, fingerprints)
    failures = {cell: reason for cell, (reason, _) in before.items() if reason} | dict(failed)
    confirmed = {cell: note for cell, (_, note) in before.items() if cell not in finished}
    cells = before.keys() - failures.keys() - finished.keys()
    if not finished and not cells and not failures:
        raise InputError(f"{folder}: no cell of the grid is finished, nothing to write")
    rows = _present(folder, cells, curves)
    lacks = [
        f"{cell.name}: its experiment is gone; {name} is without it"
        for cell in sorted(cells.intersection(curves))
        for name in (CURVES, POINTS)
        if cell not in rows[name]
    ]
    lambdas = {cell.weight for cell in curves}
    for cell, experiment in sorted(finished.items()):
        files = repository.files(experiment.commit)
        metrics = json.loads(repository.text(files[METRICS]))
        rows[GRID][cell] = pd.DataFrame([dict(numbers(metrics))])
        parts: list[tuple[str, str, list[str], dict[str, str]]] = []
        if cell in curves:
            parts += [(CURVES, ROC.format(name), RATES, {"detector": name}) for name in detectors]
            parts.append((POINTS, FEATURES, POINT, {}))
        if cell.weight in lambdas:
            parts.append((ANOMALY_SETS, SETS, OF_SETS, {}))
        for name, path, columns, key in parts:
            if path in files:
                table = pd.read_csv(io.StringIO(repository.text(files[path])))[columns]
                earlier = [rows[name][cell]] if cell in rows[name] else []
                new = pd.DataFrame(key, table.index).join(table)
                rows[name][cell] = pd.concat([*earlier, new], ignore_index=True)
            else:
                lacks.append(f"{cell.name}: has no {path}; {name} is without it")
    for name, chunks in rows.items():
        if chunks:
            key_columns = KEY[:2] if name in (CURVES, POINTS) else KEY
            save_csv(folder / name, pd.concat(_with_key(chunks, key_columns)))
        else:
            (folder / name).unlink(missing_ok=True)  # what it held is of earlier code
    made_from = [
        [*astuple(cell), fingerprints[cell], failures.get(cell, ""), confirmed.get(cell, "")]
        for cell in sorted({*rows[GRID], *failures})
    ]
    save_csv(
        folder / CELLS, pd.DataFrame(made_from, columns=[*KEY, "sha256", "failure", CONFIRMED])
    )
    return lacks


def _present(folder: Path, cells: Collection[Cell], curves: Collection[Cell]) -> Rows:
    """Return the rows that the tables have of some cells."""
    rows: Rows = {GRID: {}, CURVES: {}, POINTS: {}, ANOMALY_SETS: {}}
    seeds = {(cell.pair, cell.weight): cell.seed for cell in curves}
    for name, chunks in rows.items():
        if cells and (folder / name).is_file():
            table = pd.read_csv(folder / name, float_precision="round_trip")
            groups: Iterable[tuple[Any, pd.DataFrame]] = table.groupby(
                KEY if "seed" in table else KEY[:2]
            )
            for key, chunk in groups:
                pair, weight = key[:2]
                seed = key[2] if len(key) == len(KEY) else seeds.get(key, -1)
                cell = Cell(pair, weight, seed)
                if cell in cells:
                    values = chunk.drop(columns=KEY, errors="ignore").dropna(axis=1, how="all")
                    chunks[cell] = values.reset_index(drop=True)
    return rows


def _with_key(chunks: Mapping[Cell, pd.DataFrame], key: list[str]) -> list[pd.DataFrame]:
    cells = {cell: dict(zip(KEY, astuple(cell), strict=True)) for cell in sorted(chunks)}
    return [
        pd.DataFrame({name: about[name] for name in key}, chunks[cell].index).join(chunks[cell])
        for cell, about in cells.items()
    ]


def numbers(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number in nested mappings, under its dotted path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from numbers(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, int | float):
        yield path, value
