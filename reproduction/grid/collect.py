"""Collect the results of many experiments in four tables."""

import io
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from belong.runtime.errors import InputError
from belong.runtime.storage import save_csv
from reproduction.grid.cells import Cell
from reproduction.grid.repository import Experiment, Repository

METRICS = "reports/metrics_all.json"
ROC = "reports/plots/roc/{}.csv"
FEATURES = "reports/plots/features.csv"
SETS = "reports/plots/anomaly_sets.csv"
RATES = ["false_positive_rate", "true_positive_rate"]
POINT = ["kind", "class_name", "x", "y"]
OF_SETS = ["detector", "anomalies", "auroc", "fpr95"]


def gather(
    repository: Repository,
    finished: Mapping[Cell, Experiment],
    curves: Collection[Cell],
    detectors: Collection[str],
    folder: Path,
) -> list[str]:
    """Write grid.csv, roc.csv, features.csv and anomaly_sets.csv; return what they lack.

    Args:
        repository: holds the experiments.
        finished: the cells to gather, with their experiments.
        curves: the cells whose curves and features are wanted; what the detectors find of each
            set of anomalies is gathered of every seed at their lambdas.
        detectors: the detectors whose curves are wanted.
        folder: where the tables go. The same experiments give the same bytes.

    Returns:
        A line for each file that a wanted cell has not.

    Raises:
        InputError: no cell is finished; the tables stay as they are.
    """
    if not finished:
        raise InputError(f"{folder}: no cell of the grid is finished, nothing to write")
    rows, lacks = [], []
    tables: dict[str, list[pd.DataFrame]] = {
        "roc.csv": [],
        "features.csv": [],
        "anomaly_sets.csv": [],
    }
    lambdas = {cell.weight for cell in curves}
    for cell in sorted(finished):
        files = repository.files(finished[cell].commit)
        metrics = json.loads(repository.text(files[METRICS]))
        rows.append(_key(cell) | {"seed": cell.seed} | dict(numbers(metrics)))
        table_rows: list[tuple[str, str, list[str], dict[str, Any]]] = []
        if cell in curves:
            table_rows += [
                ("roc.csv", ROC.format(name), RATES, {"detector": name}) for name in detectors
            ]
            table_rows.append(("features.csv", FEATURES, POINT, {}))
        if cell.weight in lambdas:
            table_rows.append(("anomaly_sets.csv", SETS, OF_SETS, {"seed": cell.seed}))
        for name, path, columns, key in table_rows:
            if path in files:
                table = pd.read_csv(io.StringIO(repository.text(files[path])))[columns]
                tables[name].append(pd.DataFrame(_key(cell) | key, table.index).join(table))
            else:
                lacks.append(f"{cell.name}: has no {path}; {name} is without it")
    save_csv(folder / "grid.csv", pd.DataFrame(rows))
    for name, parts in tables.items():
        if parts:
            save_csv(folder / name, pd.concat(parts))
        else:
            (folder / name).unlink(missing_ok=True)  # what it held is of earlier code
    return lacks


def numbers(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number in nested mappings, under its dotted path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from numbers(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, int | float):
        yield path, value


def _key(cell: Cell) -> dict[str, Any]:
    return {"pair": cell.pair, "lambda": cell.weight}
