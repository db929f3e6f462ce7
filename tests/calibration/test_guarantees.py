"""What a threshold guarantees, by hand, by closed forms, and by SciPy."""

import re

import numpy as np
import pytest
from scipy import stats

from belong.calibration.conformal import rejects_range, threshold, tie
from belong.calibration.false_discovery import check_fdr, least_reported, reported_rank
from belong.calibration.sample_size import (
    CONDITIONAL,
    GUARANTEES,
    MARGINAL,
    PER_CLASS,
    Guarantee,
    least_alpha,
    least_held_out,
    least_to_calibrate,
    rejectable,
)
from belong.calibration.verdict_rule import VerdictRule
from belong.runtime.errors import InputError
from tests.imports import ROOT


@pytest.mark.parametrize("n", [118, 119, 200, 999, 5999, 100_000])
@pytest.mark.parametrize("alpha", [0.025, 0.1, 0.3])
def test_the_rate_of_the_training_conditional_rank_exceeds_alpha_in_at_most_one_set_in_twenty(
    n: int, alpha: float
) -> None:
    """Given the calibration set, the rate follows Beta(r, n + 1 - r); r + 1 would be too much."""
    rank = rejectable(n, alpha, CONDITIONAL)
    if rank:
        assert stats.beta.sf(alpha, rank, n + 1 - rank) <= 0.05
    assert stats.beta.sf(alpha, rank + 1, n - rank) > 0.05


def test_119_images_are_the_fewest_for_a_training_conditional_fortieth() -> None:
    assert least_to_calibrate(0.025, CONDITIONAL) == 119  # 0.975 ** 119 = 0.0491
    assert (rejectable(118, 0.025, CONDITIONAL), rejectable(119, 0.025, CONDITIONAL)) == (0, 1)
    assert least_held_out(0.025, CONDITIONAL) == 238


@pytest.mark.parametrize("guarantee", [MARGINAL, CONDITIONAL])
@pytest.mark.parametrize("n", [10, 54, 200, 2999])
def test_the_least_alpha_in_a_message_is_within_reach_and_a_smaller_one_is_not(
    n: int, guarantee: Guarantee
) -> None:
    least = least_alpha(n, guarantee)
    assert rejectable(n, least, guarantee) == 1
    assert rejectable(n, least * 0.999, guarantee) == 0
    with pytest.raises(InputError, match=rf"got {n}; the smallest possible alpha is {least:g}$"):
        threshold(np.arange(float(n)), alpha=least * 0.99, guarantee=guarantee)


def test_false_rejects_of_groups_are_the_sum_of_their_beta_binomial_laws() -> None:
    """By simulation of two groups; a group without a threshold rejects nothing."""
    groups = [(99, 40, 5), (39, 300, 1), (5, 70, 0)]
    rng = np.random.default_rng(0)
    total = sum(
        rng.binomial(m, rng.beta(rank, n + 1 - rank, 200_000)) for n, m, rank in groups if rank
    )
    low, high = rejects_range(groups)
    assert [low, high] == np.quantile(total, [0.025, 0.975]).tolist()
    assert rejects_range(groups, is_cross=True) == (0, high)


def test_each_class_has_its_own_threshold_and_one_with_too_few_images_the_pooled_one() -> None:
    scores = np.concatenate([np.arange(9.0), 100 + np.arange(9.0), np.arange(3.0)])
    predicted = np.repeat([0, 1, 2], [9, 9, 3])
    rule = VerdictRule.of(scores, predicted, classes=3, alpha=0.1, guarantee=PER_CLASS)
    pooled = threshold(scores, alpha=0.1)
    assert {label: class_rule.threshold for label, class_rule in rule.of_class.items()} == {
        0: 8.0,
        1: 108.0,
    }
    new = np.array([8.0, 9.0, 108.0, 109.0, pooled, pooled + 1])
    labels = np.array([0, 0, 1, 1, 2, 2])
    assert rule.belongs(new, labels).tolist() == [True, False] * 3
    np.testing.assert_allclose(rule.p_values(new, labels)[:4], [0.2, 0.1, 0.2, 0.1])
    assert rule.groups([10, 20, 30]) == [(9, 10, 1), (9, 20, 1), (21, 30, 2)]
    assert rule.by_chance([10, 20, 30]) == pytest.approx(1 + 2 + 30 * 2 / 22)
    assert rule.sentence(["cat", "dog", "owl"]).endswith(
        "; for classes with fewer than 9 calibration images, the threshold of all classes decides: "
        "owl (3)"
    )


def test_a_score_that_differs_by_rounding_is_the_one_of_the_calibration_image() -> None:
    scores = np.random.default_rng(1).normal(10, 2, 199).astype(np.float32)
    rule = VerdictRule.of(scores, None, classes=2, alpha=0.1, guarantee=MARGINAL)
    labels = np.zeros(199, np.int64)
    for noise in (-3e-6, 3e-6):
        other = scores * np.float32(1 + noise)
        np.testing.assert_array_equal(rule.belongs(other, labels), rule.belongs(scores, labels))
        # Where two calibration scores are as far apart as a tie reaches, the p-value moves by one.
        steps = 200 * np.abs(rule.p_values(other, labels) - rule.p_values(scores, labels))
        assert steps.max() <= 1 + 1e-9
        assert np.mean(steps > 0.5) <= 0.01
    assert tie(np.array(10.0), scores) == pytest.approx(10.001, abs=1e-9)


@pytest.mark.parametrize("fdr", [0.05, 0.1, 0.2])
def test_reported_are_those_that_scipy_reports(fdr: float) -> None:
    rng, n = np.random.default_rng(2), 99
    for _ in range(50):
        ranks = np.concatenate([rng.integers(1, n + 2, 40), rng.integers(1, 6, 10)])
        adjusted = stats.false_discovery_control(ranks / (n + 1), method="bh")
        rank = reported_rank(ranks, n=n, fdr=fdr)
        np.testing.assert_array_equal(ranks <= rank, adjusted <= fdr + 1e-12)


def test_a_batch_with_too_few_anomalies_for_its_calibration_reports_none() -> None:
    """Of 99 calibration images the least p-value is 0.01: at 0.1, 10 of 100 images, or none."""
    assert least_reported(99, 100, fdr=0.1) == 10
    assert reported_rank(np.repeat([1, 100], [9, 91]), n=99, fdr=0.1) == 0
    assert reported_rank(np.repeat([1, 100], [10, 90]), n=99, fdr=0.1) == 1
    check_fdr(99, 0.01)
    with pytest.raises(InputError, match=r"^fdr 0.009 needs at least 111 calibration images, got"):
        check_fdr(99, 0.009)


def test_the_table_in_the_documentation_is_computed() -> None:
    text = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([\d.]+)% \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) of each class \|$", text, re.MULTILINE
    )
    assert [float(row[0]) for row in rows] == [0.1, 1, 2.5, 5, 10, 20]
    for percent, *counts in rows:
        least = [least_to_calibrate(float(percent) / 100, one) for one in (MARGINAL, CONDITIONAL)]
        assert [int(count.replace(",", "")) for count in counts] == [*least, least[0]]
    assert all(f"`--guarantee {guarantee}`" in text for guarantee in GUARANTEES)
