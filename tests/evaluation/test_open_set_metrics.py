"""The metrics of open-set recognition, by hand and against other sums."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from belong.evaluation.open_set_metrics import (
    aurc_and_augrc,
    auroc_and_interval,
    calibration_error,
    oscr,
)


def test_the_auroc_is_that_of_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    normal, anomaly = rng.integers(0, 9, 50), rng.integers(3, 12, 30)
    truth = np.repeat([0, 1], [50, 30])
    auroc, low, high = auroc_and_interval(normal, anomaly)
    assert auroc == pytest.approx(roc_auc_score(truth, np.concatenate((normal, anomaly))))
    assert low is not None
    assert high is not None
    assert low < auroc < high


def test_the_interval_holds_the_true_auroc_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(0)
    truth = 0.9213504  # of two normal laws, 2 apart: the normal distribution function of sqrt(2)
    ends = [auroc_and_interval(rng.normal(0, 1, 60), rng.normal(2, 1, 40))[1:] for _ in range(400)]
    share = np.mean([low <= truth <= high for low, high in ends])  # type: ignore[operator]
    assert 0.92 <= share <= 0.985


def test_a_perfect_auroc_has_the_exact_interval_of_a_share_of_1() -> None:
    auroc, low, high = auroc_and_interval(np.arange(50), np.arange(100, 120))
    assert (auroc, high) == (1.0, 1.0)
    assert low == pytest.approx(0.025 ** (1 / 20))
    assert auroc_and_interval(np.arange(100, 120), np.arange(50))[0] == 0.0
    assert auroc_and_interval(np.arange(3), np.array([5])) == (1.0, None, None)


def test_oscr_is_the_area_under_its_curve() -> None:
    rng = np.random.default_rng(0)
    normal, anomaly = rng.normal(0, 1, 80), rng.normal(1, 1, 60)
    right = rng.random(80) < 0.8
    limits = np.concatenate(([-np.inf], np.sort(np.concatenate((normal, anomaly)))))
    correct = [(right & (normal <= limit)).mean() for limit in limits]
    accepted = [(anomaly <= limit).mean() for limit in limits]
    area = np.trapezoid(correct, accepted)
    assert oscr(normal, right, anomaly) == pytest.approx(area)
    assert oscr(normal, np.zeros(80, bool), anomaly) == 0


def test_aurc_and_augrc_by_hand() -> None:
    # Accepted in the order right, wrong, right: error rates 0, 1/2, 1/3.
    aurc, augrc = aurc_and_augrc(np.array([1.0, 3.0, 2.0]), np.array([True, True, False]))
    assert aurc == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    assert augrc == pytest.approx((0 + 1 / 3 + 1 / 3) / 3)
    # Both tie: each is half an error.
    tied, _ = aurc_and_augrc(np.array([1.0, 1.0]), np.array([True, False]))
    assert tied == pytest.approx(0.5)


def test_the_calibration_error_by_hand() -> None:
    # One bin: three rows at 0.95, two right; another: one row at 0.5, wrong.
    confidence = np.array([0.95, 0.95, 0.95, 0.5])
    right = np.array([True, True, False, False])
    expected = (3 * (0.95 - 2 / 3) + 1 * 0.5) / 4
    assert calibration_error(confidence, right) == pytest.approx(expected)
