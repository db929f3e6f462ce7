"""How data sets lie in the files that `pack` writes: an array, and a row of a table per image."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from belong.datasets import DataSet
from belong.errors import InputError

COLUMNS = ("data_set", "source", "class_name", "label", "is_test")


def rows(name: str, data: DataSet) -> pd.DataFrame:
    """Return the rows of a data set, in the order of its images; its array is called `name`."""
    return pd.DataFrame(
        {
            "data_set": name,
            "source": data.sources,
            "class_name": np.array(data.class_names)[data.labels],
            "label": data.labels,
            "is_test": data.is_test,
        }
    )


def data_set(name: str, table: pd.DataFrame, arrays: Mapping[str, np.ndarray]) -> DataSet:
    """Return the data set `name`, as it was before `rows`.

    Args:
        name: of the data set and its array.
        table: COLUMNS, all as text, of every data set.
        arrays: (n, ch, h, w) uint8 of every data set.

    Raises:
        InputError: it is not in both, with as many images.
    """
    own = table[table["data_set"] == name]
    if name not in arrays or len(own) != len(arrays[name]) or own.empty:
        raise InputError(f"{name}: is not packed; `dvc repro pack` packs it")
    labels = own["label"].astype(np.int64).to_numpy()
    classes = own.drop_duplicates("label").set_index("label")["class_name"]
    return DataSet(
        images=arrays[name],
        labels=labels,
        class_names=tuple(classes[str(label)] for label in range(len(classes))),
        is_test=(own["is_test"] == "True").to_numpy(),
        sources=own["source"].to_numpy(),
    )
