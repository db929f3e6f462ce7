"""Build the table of AUROCs, detector x set of anomalies, with a shade for each value."""

import math
from dataclasses import dataclass

import pandas as pd

DARKEST = 0.9995  # minimum AUROC with the full shade


@dataclass(frozen=True)
class Cell:
    """One detector on one set of anomalies.

    Attributes:
        text: the AUROC.
        shade: 0 (chance or worse) to 1.
        worse: whether it is worse than chance.
        more: the other metrics, as a sentence.
    """

    text: str
    shade: float
    worse: bool
    more: str


@dataclass(frozen=True)
class Matrix:
    """The table: names and sizes of the sets, and a row for each detector."""

    sets: list[tuple[str, int]]
    rows: list[tuple[str, list[Cell | None]]]


def matrix(table: pd.DataFrame) -> Matrix:
    """Return the table with its detectors from the highest mean AUROC to the lowest.

    Its columns: `detector`, `anomalies`, `n_anomalies`, `auroc`, `fpr95`, `false_accept`; numbers
    may be missing.
    """
    sets = dict(zip(table["anomalies"].map(str), table["n_anomalies"], strict=True))
    cells = {
        (str(row["detector"]), str(row["anomalies"])): Cell(
            f"{row['auroc']:.4f}",
            shade(row["auroc"]),
            row["auroc"] < 0.5,
            f"FPR95 {row['fpr95']:.4f}, false accepts {row['false_accept']:.4f}",
        )
        for row in table.dropna(subset=["auroc"]).to_dict("records")
    }
    means = table.groupby("detector", sort=False)["auroc"].mean().sort_values(ascending=False)
    return Matrix(
        [(name, int(count)) for name, count in sets.items()],
        [(str(name), [cells.get((str(name), one)) for one in sets]) for name in means.index],
    )


def shade(auroc: float) -> float:
    """Return the shade of a cell on a logarithmic scale of misranked pairs.

    On a linear scale, 0.99 and 0.999 would look the same despite ten times as many errors.
    """
    fewest = 1 - DARKEST
    errors = min(max(1 - auroc, fewest), 0.5)
    return math.log(0.5 / errors) / math.log(0.5 / fewest)
