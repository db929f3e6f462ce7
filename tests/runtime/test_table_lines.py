"""Rows of CSV: a reader finds the cells that were written, whatever a file is called."""

import io
from pathlib import Path

import pandas as pd
import pytest

from belong.prediction.prediction_files import PREDICTIONS, UNREADABLE, save_tables
from belong.prediction.predictions import COLUMNS
from belong.runtime.storage import load_csv, save_csv, save_rows


@pytest.mark.parametrize("name", ["a\rb", "a\nb", "a\r\nb", "\r", "a\r\n", 'a"b', "a,b"])
def test_a_name_is_read_from_the_tables_as_it_was_written(name: str, tmp_path: Path) -> None:
    row = [name, "cat", "1", "True", "0.5", "1", "cat", "1", "energy", "like cat"]
    save_tables(tmp_path, [([row, row], [(name, "empty: 0 bytes")])])
    read = pd.read_csv(tmp_path / PREDICTIONS, dtype=str)
    assert list(read.columns) == list(COLUMNS)
    assert read.to_numpy().tolist() == [row, row]
    unread = pd.read_csv(tmp_path / UNREADABLE, dtype=str)
    assert unread.to_numpy().tolist() == [[name, "empty: 0 bytes"]]


@pytest.mark.parametrize("name", ["a\rb", "a\nb", "a\r\nb", "a,b"])
def test_a_table_of_pandas_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    save_csv(tmp_path / "table.csv", pd.DataFrame({"path": [name, "b"], "score": [0.5, 2.0]}))
    assert load_csv(tmp_path / "table.csv")["path"].tolist() == [name, "b"]
    assert (tmp_path / "table.csv").read_bytes().endswith(b"\nb,2\n")


def test_a_row_ends_with_a_line_feed_alone() -> None:
    file = io.StringIO(newline="")
    save_rows(file, [["a b", 1], ["c", 2.5]])
    assert file.getvalue() == "a b,1\nc,2.5\n"
