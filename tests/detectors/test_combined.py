"""The combined score: by hand, its invariances, and the guarantee of its threshold."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import ndtri_exp

from belong.calibration import conformal
from belong.calibration.sample_size import LEAST_IMAGES
from belong.detectors.combination import CombinationRule
from belong.detectors.combined import Combination, Surprise, combined
from belong.runtime.errors import InputError

tails = st.sampled_from([0.02, 0.1, 0.25, 0.5, 0.9])
# Few distinct values, so that ties are common.
tied_scores = hnp.arrays(np.float32, st.integers(20, 60), elements=st.integers(-9, 9).map(float))
# No two equal: then there is a tail to measure.
spread_scores = hnp.arrays(
    np.float32, st.integers(20, 60), elements=st.integers(-99, 99).map(float), unique=True
)


def of_all_kinds(seed: int, n: int) -> dict[str, np.ndarray]:
    """Return n scores of three members that depend on each other, each in its own units."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=n)
    noise = rng.normal(size=(2, n))
    return {
        "gaussian": (common + 0.5 * noise[0]).astype(np.float32),
        "skewed": np.exp(common + 0.5 * noise[1]).astype(np.float32),
        "opposed": (-100 * common).astype(np.float32),
    }


def test_the_surprise_by_hand() -> None:
    # 1 .. 20; a tenth of them, 19 and 20, lie beyond 18, by 1.5 on average.
    surprise = Surprise.fit(np.arange(20.0, 0.0, -1.0), tail=0.1)
    scores = np.array([-5.0, 1.0, 1.5, 10.0, 18.0, 19.0, 20.0, 30.0])
    # Below the tail: 20, 20, 19, 11 and 3 of the 20 are at least as large.
    shares = [-math.log(m / 20) for m in (20, 20, 19, 11, 3)]
    beyond = [-math.log(0.1) + excess / 1.5 for excess in (1, 2, 12)]
    np.testing.assert_allclose(surprise(scores), shares + beyond, rtol=1e-12)


def test_the_combined_score_by_hand_is_the_sum_of_the_surprises() -> None:
    held_out = {"a": np.arange(1.0, 21.0), "b": 10 * np.arange(1.0, 21.0)}
    combination = Combination.fit(held_out, tail=0.1)
    score = combination.score({"a": np.array([30.0, 1.0]), "b": np.array([100.0, 200.0])})
    expected = [
        -math.log(0.1) + 12 / 1.5 - math.log(11 / 20),
        -math.log(0.1) + 20 / 15,
    ]
    np.testing.assert_allclose(score, expected, rtol=1e-6)
    assert score.dtype == np.float32


@given(tied_scores, tails, hnp.arrays(np.float32, 30, elements=st.floats(-12, 12, width=32)))
def test_the_surprise_never_falls_as_the_score_grows(
    held_out: np.ndarray, tail: float, scores: np.ndarray
) -> None:
    surprises = Surprise.fit(held_out, tail=tail)(np.sort(np.append(scores, held_out)))
    assert (surprises >= 0).all()
    assert (np.diff(surprises) >= 0).all()


@given(tied_scores, tails)
def test_scores_above_all_held_out_ones_still_differ(held_out: np.ndarray, tail: float) -> None:
    scores = held_out.max() + np.arange(1.0, 20.0)
    assert (np.diff(Surprise.fit(held_out, tail=tail)(scores)) > 0).all()


@pytest.mark.parametrize("n", [20, 99, 1000])
@pytest.mark.parametrize("tail", [0.1, 0.3])
def test_at_the_start_of_the_tail_p_falls_by_one_image_at_most(n: int, tail: float) -> None:
    surprise = Surprise.fit(np.random.default_rng(0).normal(size=n), tail=tail)
    around = np.nextafter(surprise.start, [-np.inf, surprise.start, np.inf])
    p = np.exp(-surprise(around))
    assert p[0] - p[-1] <= 1 / n + 1e-9


@given(tied_scores, tails)
def test_below_the_tail_the_surprise_is_minus_the_logarithm_of_the_share_counted_one_by_one(
    held_out: np.ndarray, tail: float
) -> None:
    surprise = Surprise.fit(held_out, tail=tail)
    below = held_out[held_out <= surprise.start]
    expected = [-math.log(sum(x >= s for x in held_out) / len(held_out)) for s in below]
    np.testing.assert_allclose(surprise(below), expected, rtol=1e-12, atol=1e-12)


def test_the_order_of_the_members_does_not_matter() -> None:
    held_out, test_scores = of_all_kinds(0, 80), of_all_kinds(1, 50)
    scores = Combination.fit(held_out, tail=0.1).score(test_scores)
    in_reverse_order = Combination.fit(dict(reversed(held_out.items())), tail=0.1).score(
        test_scores
    )
    np.testing.assert_allclose(in_reverse_order, scores, rtol=1e-6)


@given(
    spread_scores,
    tails,
    st.sampled_from([1e-6, 0.3, 7.0, 1e6]),
    st.sampled_from([-100.0, 0.0, 0.1, 100.0]),
)
def test_an_increasing_linear_map_of_a_members_scores_changes_nothing(
    held_out: np.ndarray, tail: float, scale: float, shift: float
) -> None:
    test_scores = np.arange(-105.0, 105.0, 3.5)
    other = np.random.default_rng(0).normal(size=(2, len(test_scores)))

    def scores(scale: float, shift: float) -> np.ndarray:
        fits = {"a": scale * (held_out.astype(np.float64) + shift), "b": other[0]}
        combination = Combination.fit(fits, tail=tail)
        return combination.score({"a": scale * (test_scores + shift), "b": other[1]})

    np.testing.assert_allclose(scores(scale, shift), scores(1.0, 0.0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [0, LEAST_IMAGES - 1])
def test_too_few_held_out_images_are_refused(n: int) -> None:
    with pytest.raises(InputError, match=f"needs 10 calibration images, got {n}"):
        Surprise.fit(np.arange(float(n)), tail=0.1)


def test_images_on_which_a_member_is_constant_are_no_surprise_to_it() -> None:
    held_out = np.full(50, 3.0, dtype=np.float32)
    test_scores = np.array([3.0, 2.0], dtype=np.float32)
    assert Surprise.fit(held_out, tail=0.1)(test_scores).tolist() == [0, 0]


def test_a_score_above_a_constant_members_is_a_finite_surprise() -> None:
    held_out, other = np.full(50, 3.0, dtype=np.float32), np.arange(50.0)
    combination = Combination.fit({"a": held_out, "b": other}, tail=0.1)
    test_scores = {"a": np.array([3.0, 4.0], dtype=np.float32), "b": np.array([7.0, 7.0])}
    scores = combination.score(test_scores)
    assert np.isfinite(scores).all()
    assert scores[1] > scores[0]


@pytest.mark.parametrize("tail", [0.001, 0.98, 0.999])
def test_a_tail_of_almost_none_or_all_of_the_images_gives_finite_scores(tail: float) -> None:
    held_out = np.arange(20.0)
    scores = Surprise.fit(held_out, tail=tail)(np.arange(-5.0, 25.0))
    assert np.isfinite(scores).all()
    assert scores[-1] < 100


# As floats, and rounded so that most images tie with others.
@pytest.mark.pipeline
@pytest.mark.parametrize("digits", [None, 0])
@pytest.mark.parametrize(("n", "alpha", "rule"), [(100, 0.1, "fisher"), (61, 0.2, "stouffer")])
def test_the_mean_false_reject_rate_of_combined_is_at_most_alpha(
    n: int, alpha: float, rule: CombinationRule, digits: int | None
) -> None:
    repetitions, m = 1000, 50
    rates = []
    for seed in range(repetitions):
        detector_scores = of_all_kinds(seed, n + m)
        if digits is not None:
            detector_scores = {name: x.round(digits) for name, x in detector_scores.items()}
        scores = {
            "calibration": {name: x[:n] for name, x in detector_scores.items()},
            "test": {name: x[n : n + m] for name, x in detector_scores.items()},
        }
        score = combined(scores, "calibration", list(detector_scores), tail=0.1, rule=rule)
        threshold = conformal.threshold(score["calibration"], alpha=alpha)
        rates.append((score["test"] > threshold).mean())
    error = np.std(rates) / math.sqrt(repetitions)
    assert np.mean(rates) <= alpha + 3 * error
    if digits is None:
        # Without ties the rate is known: the rank of the threshold over the images plus one.
        images = n // 2
        expected = math.floor(alpha * (images + 1) + 1e-9) / (images + 1)
        assert abs(np.mean(rates) - expected) <= 3 * error


def test_the_deviation_by_hand() -> None:
    """Below the tail the normal law's own; beyond, the excess is half of what the square gains."""
    surprise = Surprise.fit(np.arange(20.0, 0.0, -1.0), tail=0.1)
    deviations = surprise.deviation(np.array([-5.0, 1.5, 10.0, 18.0, 19.0, 30.0]))
    quantile = NormalDist().inv_cdf
    first = -quantile(2 / 20)
    shares = [-quantile(share) for share in (1 - 0.5 / 20, 19 / 20, 11 / 20, 3 / 20)]
    beyond = [math.sqrt(first**2 + 2 * excess / 1.5) for excess in (1, 12)]
    np.testing.assert_allclose(deviations, shares + beyond, rtol=1e-12)


def test_far_out_the_deviation_is_that_of_a_normal_law() -> None:
    surprise = Surprise.fit(np.random.default_rng(0).exponential(size=2000), tail=0.1)
    scores = np.array([30.0, 100.0, 500.0])
    expected = -ndtri_exp(-surprise(scores))
    np.testing.assert_allclose(surprise.deviation(scores), expected, rtol=0.04)


@given(tied_scores, tails, hnp.arrays(np.float32, 30, elements=st.floats(-12, 12, width=32)))
def test_the_deviation_never_falls_as_the_score_grows(
    held_out: np.ndarray, tail: float, scores: np.ndarray
) -> None:
    deviations = Surprise.fit(held_out, tail=tail).deviation(np.sort(np.append(scores, held_out)))
    assert (np.diff(deviations) >= 0).all()


def test_stouffers_sum_is_that_of_the_deviations() -> None:
    held_out = {"a": np.arange(1.0, 21.0), "b": 10 * np.arange(1.0, 21.0)}
    scores = {"a": np.array([30.0, 1.0]), "b": np.array([100.0, 200.0])}
    combination = Combination.fit(held_out, tail=0.1, rule="stouffer")
    parts = [one.deviation(scores[name]) for name, one in combination.surprises.items()]
    np.testing.assert_allclose(combination.score(scores), sum(parts), rtol=1e-6)


def test_two_members_that_are_fairly_sure_outweigh_one_that_is_very_sure_in_stouffers_sum() -> None:
    held_out = {name: np.arange(100.0) for name in "ab"}
    scores = {"a": np.array([95.0, 120.0]), "b": np.array([95.0, 50.0])}
    fisher = Combination.fit(held_out, tail=0.1, rule="fisher").score(scores)
    stouffer = Combination.fit(held_out, tail=0.1, rule="stouffer").score(scores)
    assert fisher[0] < fisher[1]
    assert stouffer[0] > stouffer[1]
