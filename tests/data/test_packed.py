"""`split` reads the same data set that `pack` wrote, whatever its names are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from belong.data.dataset import COLUMNS, DataSet, data_set, rows
from belong.runtime.errors import InputError
from belong.runtime.storage import load_csv, save_csv

# Names that a table could read as numbers, missing values, or two columns.
NAMES = ("007", "7", "1e3", "NA", "True", 'a, "b"\nc', "null", "é")


def awkward() -> DataSet:
    labels = np.array([3, 0, 7, 1, 2, 4, 5, 6, 0])
    return DataSet(
        images=np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1),
        labels=labels,
        class_names=NAMES,
        is_test=labels == 0,
        sources=np.array([f"{NAMES[label]}/1.jpg" for label in labels], dtype=object),
    )


def through_a_file(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    save_csv(path, table)
    return load_csv(path, *COLUMNS, as_text=True)


def test_a_data_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    data = awkward()
    table = through_a_file(
        tmp_path / "rows.csv", pd.concat([rows("other", data), rows("ours", data)])
    )
    loaded = data_set("ours", table, {"ours": data.images, "other": data.images})
    assert loaded.class_names == data.class_names
    for name in ("images", "labels", "is_test", "sources"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(data, name))
    assert loaded.labels.dtype == np.int64
    assert loaded.is_test.dtype == bool


@pytest.mark.parametrize("name", ["theirs", "short"])
def test_a_data_set_that_is_not_packed_is_refused(tmp_path: Path, name: str) -> None:
    data = awkward()
    table = through_a_file(
        tmp_path / "rows.csv", pd.concat([rows("ours", data), rows("short", data)])
    )
    arrays = {"ours": data.images, "short": data.images[1:]}
    with pytest.raises(InputError, match=f"^{name}: is not packed; run `dvc repro pack`$"):
        data_set(name, table, arrays)
