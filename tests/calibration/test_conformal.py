"""Split conformal prediction, by hand and by simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from belong.calibration.conformal import p_values, promised_range, threshold
from belong.runtime.errors import InputError

# Few distinct values, so that ties are common.
tied_scores = hnp.arrays(np.float32, st.integers(1, 40), elements=st.integers(-3, 3).map(float))


def test_p_values_by_hand_with_ties() -> None:
    calibration = np.array([2.0, 3.0, 1.0, 2.0])
    scores = np.array([0.0, 1.0, 2.0, 2.5, 3.0, 4.0])
    # 4, 4, 3, 1, 1, 0 of the four are at least as large; add 1 to each, divide by 5.
    assert p_values(calibration, scores).tolist() == [1, 1, 4 / 5, 2 / 5, 2 / 5, 1 / 5]


def test_threshold_by_hand_is_the_eighth_of_nine_scores_at_a_fifth() -> None:
    # p(8) = (1 + 2) / 10 = 0.3 belongs; anything above has p = 0.2, and is rejected.
    calibration = np.array([5.0, 9.0, 1.0, 2.0, 8.0, 7.0, 3.0, 6.0, 4.0])
    assert threshold(calibration, alpha=0.2) == 8


@given(tied_scores, st.data())
def test_a_score_is_within_the_threshold_exactly_if_its_p_value_is_above_alpha(
    calibration: np.ndarray, data: st.DataObject
) -> None:
    n = len(calibration)
    # Alphas that a p-value can equal, and others.
    equal = st.integers(1, n).map(lambda k: k / (n + 1))
    other = st.integers(math.ceil(1000 / (n + 1)), 999).map(lambda k: k / 1000)
    alpha = data.draw(equal | other, "alpha")
    scores = np.arange(-4, 4.5, 0.5, dtype=np.float32)
    belongs = p_values(calibration, scores) > alpha
    assert (scores <= threshold(calibration, alpha=alpha)).tolist() == belongs.tolist()


@given(tied_scores, tied_scores)
def test_p_values_are_those_of_counting_one_by_one(
    calibration: np.ndarray, scores: np.ndarray
) -> None:
    expected = [(1 + sum(c >= s for c in calibration)) / (len(calibration) + 1) for s in scores]
    assert p_values(calibration, scores).tolist() == expected


def false_rejects(
    n: int, alpha: float, *, m: int, repetitions: int, levels: int | None = None
) -> np.ndarray:
    """Return the rate on m new scores; each trial calibrates on n scores of the same distribution.

    With `levels` the scores are rounded to that many values, so that many tie.
    """
    rng = np.random.default_rng(0)
    rates = np.empty(repetitions)
    for i in range(repetitions):
        scores = rng.exponential(size=n + m)
        if levels is not None:
            scores = np.floor(levels * np.exp(-scores))
        rates[i] = np.mean(scores[n:] > threshold(scores[:n], alpha=alpha))
    return rates


# The second: 0.1 x 46 = 4.6, so that only 4 / 46 can be kept. The last: the smallest n.
@pytest.mark.parametrize(("n", "alpha"), [(39, 0.1), (45, 0.1), (200, 0.025), (39, 0.025)])
def test_mean_false_reject_rate_is_the_largest_multiple_of_1_over_n_plus_1_within_alpha(
    n: int, alpha: float
) -> None:
    rates = false_rejects(n, alpha, m=50, repetitions=4000)
    expected = math.floor(round(alpha * (n + 1), 9)) / (n + 1)
    assert expected <= alpha
    assert abs(rates.mean() - expected) < 4 * rates.std() / math.sqrt(4000)


@pytest.mark.parametrize("levels", [2, 5, 30])
def test_mean_false_reject_rate_stays_within_alpha_when_scores_tie(levels: int) -> None:
    rates = false_rejects(39, 0.1, m=50, repetitions=4000, levels=levels)
    assert rates.mean() <= 0.1 + 4 * rates.std() / math.sqrt(4000)


@pytest.mark.parametrize(
    ("n", "m", "alpha"), [(40, 1, 0.1), (200, 21, 0.025), (1000, 2000, 0.05), (600, 3000, 0.5)]
)
def test_promised_range_is_that_of_the_beta_binomial_law_in_whole_numbers(
    n: int, m: int, alpha: float
) -> None:
    # Of the n + m places in the order of the scores n are calibration images. k new ones are
    # rejected where k lie beyond the one of the threshold's rank.
    rank = int(alpha * (n + 1))
    ways = [math.comb(k + rank - 1, k) * math.comb(m - k + n - rank, m - k) for k in range(m + 1)]
    at_most = list(itertools.accumulate(ways))
    assert at_most[-1] == math.comb(n + m, n)
    low, high = (
        next(k for k, count in enumerate(at_most) if count * 40 >= share * at_most[-1])
        for share in (1, 39)
    )
    assert promised_range(n, m, alpha=alpha) == (low / m, high / m)


def test_promised_range_of_one_calibration_image_at_one_half_is_that_of_a_uniform_law() -> None:
    # Rank 1 of n = 1: the false rejects among 99 are uniform on 0..99, so that the 2.5% and
    # 97.5% quantiles are 2 and 97.
    assert promised_range(1, 99, alpha=0.5) == (2 / 99, 97 / 99)


@pytest.mark.parametrize(("n", "m", "alpha"), [(100, 200, 0.05), (45, 1000, 0.1)])
def test_promised_range_holds_19_of_20_simulated_rates(n: int, m: int, alpha: float) -> None:
    rates = false_rejects(n, alpha, m=m, repetitions=4000)
    low, high = promised_range(n, m, alpha=alpha)
    error = 4 * math.sqrt(0.025 * 0.975 / 4000)
    # The law is discrete: each tail has at most 2.5%, and with one more count at least that.
    assert np.mean(rates < low - 1e-9) <= 0.025 + error
    assert np.mean(rates > high + 1e-9) <= 0.025 + error
    assert np.mean(rates <= low + 1e-9) >= 0.025 - error
    assert np.mean(rates >= high - 1e-9) >= 0.025 - error


SMALLEST = [(0.025, 39), (0.05, 19), (0.1, 9), (0.3, 3), (0.001, 999)]


@pytest.mark.parametrize(("alpha", "smallest"), SMALLEST)
def test_one_calibration_image_too_few_is_refused_with_the_number_that_is_wanted(
    alpha: float, smallest: int
) -> None:
    message = f"alpha {alpha} needs at least {smallest} calibration images, got {smallest - 1}"
    with pytest.raises(InputError, match=message):
        threshold(np.arange(smallest - 1.0), alpha=alpha)


@pytest.mark.parametrize(("alpha", "smallest"), SMALLEST)
def test_with_the_smallest_number_of_calibration_images_only_a_larger_score_is_rejected(
    alpha: float, smallest: int
) -> None:
    assert threshold(np.arange(float(smallest)), alpha=alpha) == smallest - 1


@given(st.floats(0.001, 0.5))
def test_the_number_of_images_in_the_message_is_enough_and_one_less_is_not(alpha: float) -> None:
    with pytest.raises(InputError) as error:
        threshold(np.empty(0), alpha=alpha)
    needed_images = int(str(error.value).split("at least ")[1].split()[0])
    assert threshold(np.arange(float(needed_images)), alpha=alpha) == needed_images - 1
    with pytest.raises(InputError):
        threshold(np.arange(needed_images - 1.0), alpha=alpha)
