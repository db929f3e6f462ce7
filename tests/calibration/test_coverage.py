"""The false-rejection rate over many splits of the same images."""

from pathlib import Path

import numpy as np
import pytest

from belong.calibration import conformal
from belong.calibration.coverage import COLUMNS, rates, resplits
from belong.runtime.storage import load_about, load_csv
from stages import study_promise
from tests.imports import ROOT

SCORES = ROOT / "data" / "scores.safetensors"


def test_the_tenth_score_is_rejected_if_it_is_larger_than_nine_calibration_scores() -> None:
    """At alpha 0.1 the threshold of nine images is the largest of them."""
    achieved = rates(
        np.arange(10.0), calibration=9, splits=500, alpha=0.1, rng=np.random.default_rng(0)
    )
    assert set(achieved) == {0.0, 1.0}
    assert achieved.mean() == pytest.approx(0.1, abs=0.03)


def test_as_many_splits_are_within_the_band_as_it_says() -> None:
    """Of 2,000, 95% and a little more, for rates are whole images; 0.015 is 3 deviations."""
    scores = np.random.default_rng(1).normal(size=700)
    low, high = conformal.promised_range(400, 300, alpha=0.1)
    achieved = rates(scores, calibration=400, splits=2000, alpha=0.1, rng=np.random.default_rng(2))
    share = ((low <= achieved) & (achieved <= high)).mean()
    assert share >= 0.95 - 0.015
    assert achieved.mean() == pytest.approx(40 / 401, abs=0.003)  # rank / (n + 1)


def test_scores_that_are_all_alike_reject_nothing_and_are_outside_the_band() -> None:
    table = resplits({"flat": np.zeros(40)}, {"flat": np.zeros(100)}, splits=5, alpha=0.2, seed=0)
    (row,) = table.to_dict("records")
    assert list(table.columns) == COLUMNS
    assert (row["within"], row["most"]) == (0, 0.0)


def test_another_detector_leaves_the_rows_of_the_others_as_they_are() -> None:
    held_out, test = np.random.default_rng(3).normal(size=(2, 60))
    one, both = (
        resplits(
            dict.fromkeys(names, held_out), dict.fromkeys(names, test), splits=5, alpha=0.2, seed=0
        )
        .set_index("detector")
        .to_dict("index")
        for names in (["msp"], ["energy", "msp"])
    )
    assert both["msp"] == one["msp"]
    assert both["energy"] != both["msp"]


@pytest.mark.pipeline
@pytest.mark.skipif(not SCORES.is_file(), reason="wants data/scores.safetensors: dvc repro")
def test_the_model_of_this_pipeline_keeps_its_promise_in_nineteen_of_twenty_splits(
    tmp_path: Path,
) -> None:
    """In 99 of 100 trials, 89 to 99 of 100 splits are expected."""
    study_promise.main(ROOT / "params.yaml", SCORES, tmp_path / "promise.csv", tmp_path / "fdr.csv")
    table, about = load_csv(tmp_path / "promise.csv"), load_about(SCORES)
    for guarantee in ("marginal", "training-conditional"):
        rows = table[table["guarantee"] == guarantee].set_index("detector").to_dict("index")
        assert set(rows) == set(about["thresholds"])
        assert rows["combined"]["within"] >= 89
    conditional = table[table["guarantee"] == "training-conditional"]
    assert conditional["above"].mean() <= 5.0  # of 100
    of_classes = table[table["guarantee"] == "per-class"]
    assert len(of_classes) == len(about["class_names"])
    texts = load_csv(tmp_path / "promise.csv", as_text=True)["class"]
    assert sorted(texts[texts != ""]) == sorted(about["class_names"])
    assert (of_classes["within"] >= 89).all()
    fdr = load_csv(tmp_path / "fdr.csv")
    assert set(fdr["fdr"]) == {0.05, 0.1, 0.2}
    assert (fdr["mean"] <= fdr["bound"] + 4 * fdr["standard_error"]).all()
    assert (fdr.loc[fdr["detector"] == "combined", "found"] > 0.9).all()
