"""Read the predictions of new images, in the order of time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from belong.calibration.verdict import decide, p_value_threshold
from belong.runtime.errors import InputError
from belong.runtime.storage import load_csv
from belong.runtime.text import printable

COLUMNS = ("path", "class", "belongs", "p_value")
# Maximum relative rounding error of a p-value, which is written with six digits.
ROUNDING = 1e-5


def read(path: Path) -> pd.DataFrame:
    """Return the rows of predictions.csv, as `belong score` writes it.

    Returns:
        Columns: `path`, `class`, `belongs` (bool) and `p_value` (float64).

    Raises:
        InputError: the file is missing, is not a table, has no row or lacks a column; or a value is
            invalid.
    """
    name = printable(path)
    if not path.is_file():
        raise InputError(f"{name}: no such file; expected predictions.csv of `belong score`")
    try:
        table = load_csv(path, *COLUMNS, as_text=True)
    except InputError as error:  # pandas ends some of its messages with a new line
        raise InputError(" ".join(str(error).split())) from None
    if table.empty:
        raise InputError(f"{name}: expected the predictions of at least one image, got none")
    p_values = pd.to_numeric(table["p_value"], errors="coerce")
    _check(name, "p_value", table, (p_values > 0) & (p_values <= 1), "above 0, at most 1")
    _check(name, "belongs", table, table["belongs"].isin(["True", "False"]), "True or False")
    return table.assign(p_value=p_values, belongs=table["belongs"] == "True")


def by_time(rows: pd.DataFrame, times: Sequence[int]) -> pd.DataFrame:
    """Sort the rows by the times of their images; rows with equal times keep their order."""
    return rows.iloc[np.argsort(times, kind="stable")].reset_index(drop=True)


def time_below(images: Path, path: str) -> int:
    """Return the modification time of a file below the folder, in nanoseconds.

    Raises:
        InputError: there is no such file.
    """
    try:
        return (images / path).stat().st_mtime_ns
    except FileNotFoundError:
        raise InputError(
            f"{printable(images)}: expected every image of the predictions, got no {path}"
        ) from None


def rejected(rows: pd.DataFrame, *, alpha: float, n: int) -> np.ndarray:
    """Return which images are rejected, by their p-values: (m,) bool.

    Args:
        rows: as `read` returns them.
        alpha: the promised share of false rejects.
        n: number of calibration images; p-values are multiples of 1 / (n + 1).

    Raises:
        InputError: the rows were computed with another alpha or another number of calibration
            images.
    """
    p_values = rows["p_value"].to_numpy()
    ranks = p_values * (n + 1)
    odd = np.flatnonzero(np.abs(ranks - np.round(ranks)) > ROUNDING * ranks)
    if len(odd):
        raise InputError(
            f"{rows['path'][int(odd[0])]}: p-value: expected a multiple of 1/{n + 1} for {n} "
            f"calibration images, got {p_values[odd[0]]:g}: the predictions are of another model"
        )
    belong = decide(-p_values, p_value_threshold(n, alpha=alpha))
    differ = np.flatnonzero(belong != rows["belongs"].to_numpy())
    if len(differ):
        path, belongs, p_value = rows.loc[int(differ[0]), ["path", "belongs", "p_value"]]
        raise InputError(
            f"{path}: belongs: expected {not belongs} at alpha {alpha:g} and p-value "
            f"{p_value:g}, got {belongs}: the predictions are of another model or threshold"
        )
    return ~belong


def _check(
    name: str, column: str, table: pd.DataFrame, good: "pd.Series[bool]", expected: str
) -> None:
    if not good.all():
        row = int(np.argmin(good))
        text = table[column][row]
        raise InputError(f"{name}: row {row + 1}: {column}: expected {expected}, got {text!r}")
