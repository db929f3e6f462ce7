"""A few hundred inputs of `python -m tests.robustness.fuzz`, and those that found a fault."""

from pathlib import Path

import pandas as pd
import pytest
from safetensors.numpy import save

from belong.commands.watch import predictions
from belong.runtime.errors import InputError
from belong.runtime.storage import load_about
from tests.imports import ROOT
from tests.robustness.fuzz.__main__ import SEED
from tests.robustness.fuzz.mutations import mutated
from tests.robustness.fuzz.readers import READERS
from tests.robustness.fuzz.worker import outcomes

FEW = {"params": 20}  # the YAML reader is slow


@pytest.mark.parametrize("reader", READERS)
def test_spoiled_bytes_are_read_or_refused_in_the_documented_words(
    reader: str, tmp_path: Path
) -> None:
    inputs = FEW.get(reader, 300)
    counts = outcomes(reader, SEED, 0, inputs, tmp_path)
    assert counts["faults"] == {}
    assert counts["read"] + counts["refused"] == inputs


def test_an_input_is_decided_by_its_number() -> None:
    seeds = READERS["idx"].seeds()
    one, second, other = (mutated(seeds, number, seed=0) for number in (4, 4, 8))
    assert one == second != other


def test_the_documented_run_tried_more_than_a_hundred_thousand_and_found_nothing() -> None:
    table = pd.read_csv(ROOT / "reports" / "fuzz.csv").set_index("reader")
    assert table["inputs"].to_dict() == {name: one.inputs for name, one in READERS.items()}
    assert table["inputs"].sum() > 100_000
    assert (table["read"] + table["refused"] == table["inputs"]).all()
    assert (table["faults"] == 0).all()


def test_a_row_with_more_values_than_columns_is_refused(tmp_path: Path) -> None:
    """pandas takes surplus columns for row names, which caused a KeyError."""
    path = tmp_path / "predictions.csv"
    path.write_text("path,class,belongs,p_value\n1,a.png,cat,True,0.5\n1,b.png,dog,True,2\n")
    with pytest.raises(InputError, match="expected 4 values in each row, got more"):
        predictions.read(path)


@pytest.mark.parametrize("about", ['{"shape" 3}', "[", "7", "[7]", "[" * 100_000], ids=range(5))
def test_what_a_file_says_about_itself_that_is_no_json_is_refused(
    about: str, tmp_path: Path
) -> None:
    (tmp_path / "arrays").write_bytes(save({}, {"about": about}))
    with pytest.raises(InputError, match="arrays: its metadata is cut off or altered"):
        load_about(tmp_path / "arrays")
