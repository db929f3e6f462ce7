"""Agreement between detectors, by hand and by SciPy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from belong.evaluation.detector_agreement import between_detectors, most_anomalous, picked_classes


def test_the_most_anomalous_come_first_and_ties_stand_in_their_order() -> None:
    assert most_anomalous(np.array([1.0, 3.0, 2.0, 3.0]), 3).tolist() == [1, 3, 2]


def test_the_overlap_is_the_share_of_one_top_that_is_in_the_other() -> None:
    scores = {"a": np.array([4.0, 3, 2, 1]), "b": np.array([4.0, 1, 3, 2])}
    (row,) = between_detectors(scores, top=2).to_dict("records")
    assert (row["first"], row["second"], row["overlap"]) == ("a", "b", 0.5)


def test_the_rank_correlation_is_spearmans_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.integers(0, 20, 100).astype(float) for name in "abc"}
    table = between_detectors(scores, top=5)
    for row in table.to_dict("records"):
        expected = spearmanr(scores[row["first"]], scores[row["second"]]).statistic
        assert row["rank_correlation"] == pytest.approx(expected)
    assert len(table) == 3


def test_picked_classes_are_shares_of_the_top_beside_shares_of_all() -> None:
    scores = {"a": np.array([9.0, 8, 1, 2])}
    labels = np.array([1, 1, 0, 1])
    table = picked_classes(scores, labels, ["zero", "one"], share=0.5)
    assert table.to_dict("list") == {
        "detector": ["a", "a"],
        "class_name": ["zero", "one"],
        "share_of_top": [0.0, 1.0],
        "share_of_all": [0.25, 0.75],
    }
