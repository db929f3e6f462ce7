"""A small long run: every file is accounted for; its measurements by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from belong.commands.main import main
from tests.imports import ROOT
from tests.robustness.long_run import BAD_OF, TENTHS, Sample, accounted, generate, is_flat, tenths
from tests.small_bundle import make_bundle

IMAGES = 1500


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("made"))


def test_of_many_files_each_is_accounted_for_once(model: Path, tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    generate(images, IMAGES)
    words = [str(images), "--model", str(model), "-o", str(out), "--no-gallery"]
    assert main(["score", *words]) == 0
    assert accounted(out, IMAGES)
    assert not accounted(out, IMAGES + 1)


def test_a_tenth_by_hand() -> None:
    samples = [Sample(1, 0, 2**20), Sample(2, 50, 3 * 2**20), Sample(4, 90, 2 * 2**20)]
    (row,) = tenths(samples, 1000).to_dict("records")
    assert row == {"tenth": 1, "files_per_second": 20, "peak_mib": 3}


def test_batches_removed_at_the_end_still_count_as_done() -> None:
    seconds_and_done = ((0, 0), (1, 100), (3, 200), (40, 120), (50, 0))
    samples = [Sample(seconds, files, 2**20) for seconds, files in seconds_and_done]
    (row,) = tenths(samples, 1000).to_dict("records")
    assert (row["tenth"], row["files_per_second"]) == (2, 50)


def test_the_documented_run_is_flat_and_all_of_its_files_are_accounted_for() -> None:
    table = pd.read_csv(ROOT / "reports" / "long_run.csv")
    assert table["files"].sum() == 200_000
    assert (table["predictions"] + table["unreadable"] == table["files"]).all()
    assert (table["unreadable"] * BAD_OF == table["files"]).all()
    assert list(table["tenth"]) == list(range(1, TENTHS + 1))
    assert not table.isna().to_numpy().any()
    assert is_flat(table)
    # A leak of 1 KiB for each file would be 20 MiB in a tenth.
    slope, _ = np.polyfit(table["tenth"], table["peak_mib"], 1)
    assert slope < 5


@pytest.mark.parametrize(
    ("peaks", "rates", "flat"),
    [
        ((300, 310, 329), (10, 20, 20), True),
        ((300, 310, 331), (20, 20, 20), False),
        ((300, 300, 300), (20, 20, 9), False),
    ],
)
def test_growing_memory_and_a_run_that_slows_down_are_not_flat(
    peaks: tuple[int, ...], rates: tuple[int, ...], flat: bool
) -> None:
    table = pd.DataFrame({"tenth": [2, 3, 4], "files_per_second": rates, "peak_mib": peaks})
    assert is_flat(table) == flat
