"""Build the scoreboard: the metrics of every detector, and of constant rules as a baseline."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

NOT_MEASURED = "not measured"
# Where the test images set the threshold, the share of them beyond it is given.
OF_REJECTS = ("false_reject", "open_set_accuracy")
TESTS_ITSELF = "the test images also calibrate the threshold: false rejects are not measured"
DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    """A column of the scoreboard.

    Attributes:
        key: key of the metric in metrics_all.json, by which the column is sorted.
        label: heading of the column.
        explains: definition of the metric.
        best: the better direction, `max` or `min`.
        to: key of the upper end, if the column shows an interval.
        ranks: whether the best number is marked.
    """

    key: str
    label: str
    explains: str
    best: str
    to: str | None = None
    ranks: bool = True


COLUMNS = (
    Column("auroc", "AUROC", "probability that an anomaly scores above a normal image", "max"),
    Column(
        "auroc_low", "95% interval", "of the AUROC, from bootstrap resamples", "max", "auroc_high"
    ),
    Column("fpr95", "FPR95", "anomalies accepted when 95% of normal images are", "min"),
    Column("aupr_normal", "AUPR normal", "average precision, normal images as positives", "max"),
    Column("aupr_anomaly", "AUPR anomaly", "average precision, anomalies as positives", "max"),
    Column("f1_normal", "F1 normal", "normal images as positives, actual proportions", "max"),
    Column("f1_anomaly", "F1 anomaly", "anomalies as positives, actual proportions", "max"),
    Column("f1_normal_balanced", "F1 normal 1:1", "as if both were equally frequent", "max"),
    Column("f1_anomaly_balanced", "F1 anomaly 1:1", "as if both were equally frequent", "max"),
    Column(
        "false_reject", "false rejects", "share of the normal images rejected", "min", ranks=False
    ),
    Column("false_accept", "false accepts", "share of the anomalies accepted", "min"),
    Column(
        "open_set_accuracy",
        "open-set accuracy",
        "share of normal images accepted and classified correctly",
        "max",
    ),
    Column(
        "aurc",
        "AURC",
        "area under the risk-coverage curve",
        "min",
    ),
    Column("augrc", "AUGRC", "area under the generalized risk-coverage curve", "min"),
)


@dataclass(frozen=True)
class Cell:
    """A cell of the table: text, number to sort by, and the reason for a missing number."""

    text: str
    number: float | None
    reason: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A detector, or a baseline rule that ignores the images."""

    name: str
    cells: tuple[Cell, ...]
    floor: bool


def scoreboard(
    detectors: Mapping[str, Mapping[str, Any]],
    floor: Mapping[str, Mapping[str, Any]],
    *,
    tests_itself: bool = False,
) -> list[Row]:
    """Return the detectors from the highest AUROC to the lowest, then the rules of `floor`.

    A missing metric is None with a `reason`; a rule has only some metrics. If the test images also
    set the threshold, `tests_itself`, the metrics of OF_REJECTS are missing.
    """
    rows = [_row(name, numbers, NOT_MEASURED, tests_itself) for name, numbers in detectors.items()]
    best = []
    for at, column in enumerate(COLUMNS):
        numbers = [cell.number for row in rows if (cell := row.cells[at]).number is not None]
        pick = max if column.best == "max" else min
        best.append(pick(numbers, default=None) if column.ranks else None)
    rows = [replace(row, cells=tuple(map(_marked, row.cells, best))) for row in rows]
    rows.sort(key=_worst_last)
    looks_at_nothing = "a constant rule has no ranking"
    floors = [_row(name, numbers, looks_at_nothing) for name, numbers in floor.items()]
    return rows + [replace(row, floor=True) for row in floors]


def reasons(rows: list[Row]) -> list[str]:
    """Return the reasons for missing metrics, each once, with the detector if only one has it."""
    names: dict[str, set[str]] = {}
    for row in rows:
        for cell in row.cells:
            if cell.reason and not row.floor:
                names.setdefault(cell.reason, set()).add(row.name)
    return [
        f"{next(iter(who))}: {reason}" if len(who) == 1 else reason
        for reason, who in sorted(names.items())
    ]


def _row(name: str, numbers: Mapping[str, Any], otherwise: str, tests_itself: bool = False) -> Row:
    reason = str(numbers.get("reason") or otherwise)
    cells = []
    for column in COLUMNS:
        ends = [numbers.get(key) for key in (column.key, column.to) if key]
        available = [end for end in ends if end is not None]
        if tests_itself and column.key in OF_REJECTS:
            cells.append(Cell(DASH, None, TESTS_ITSELF))
        elif len(available) < len(ends):
            cells.append(Cell(DASH, None, reason))
        else:
            cells.append(Cell(DASH.join(f"{end:.4f}" for end in available), available[0]))
    return Row(name, tuple(cells), floor=False)


def _marked(cell: Cell, best: float | None) -> Cell:
    return replace(cell, best=cell.number is not None and cell.number == best)


def _worst_last(row: Row) -> tuple[bool, float, str]:
    auroc = row.cells[0].number
    return auroc is None, -(auroc or 0.0), row.name
