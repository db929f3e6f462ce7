"""One function decides, by a score or by its written p-value."""

import numpy as np
import pytest

from belong.calibration.conformal import p_values, threshold
from belong.calibration.verdict import decide, kind_in_force, p_value_threshold


@pytest.mark.parametrize(("n", "alpha"), [(39, 0.025), (999, 0.05), (1000, 0.05), (7, 0.5)])
def test_scores_and_written_p_values_give_the_same_verdicts(n: int, alpha: float) -> None:
    rng = np.random.default_rng(n)
    held_out, scores = rng.normal(size=n), rng.normal(size=2000)
    by_score = decide(scores, threshold(held_out, alpha=alpha))
    p_values_in_csv = np.array([float(f"{p:.6g}") for p in p_values(held_out, scores)])
    by_p_value = decide(-p_values_in_csv, p_value_threshold(n, alpha=alpha))
    np.testing.assert_array_equal(by_score, by_p_value)
    assert 0 < by_score.sum() < len(scores)


def test_a_score_at_the_threshold_belongs_and_one_that_is_no_number_does_not() -> None:
    assert decide(np.array([1.0, 1.0 + 1e-9, np.nan]), 1.0).tolist() == [True, False, False]


def test_the_parameters_choose_the_threshold_and_not_its_value() -> None:
    same = {"calibrated": 1.0, "training": 1.0}
    assert kind_in_force(same, "training") == "training"
    assert kind_in_force(same, "calibrated") == "calibrated"


def test_a_detector_without_a_training_threshold_stays_calibrated() -> None:
    assert kind_in_force({"calibrated": 1.0}, "training") == "calibrated"
