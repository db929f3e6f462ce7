"""Bets against a rate, by hand, by summing over all outcomes, and by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import betabinom, kstest

from belong.calibration import conformal
from belong.commands.watch.martingale import (
    ODDS,
    begins,
    log_capital,
    pooled_chances,
    rank_p_values,
)

Hits = np.ndarray


def all_outcomes(n: int) -> list[Hits]:
    return [np.array(one, bool) for one in itertools.product((False, True), repeat=n)]


def probability(hits: Hits, chances: np.ndarray) -> float:
    return float(np.prod(np.where(hits, chances, 1 - chances)))


def test_the_chances_of_a_sequence_multiply_to_the_beta_binomial_law_of_scipy() -> None:
    for hits in all_outcomes(6):
        count = int(hits.sum())
        expected = betabinom(6, 5, 195).pmf(count) / math.comb(6, count)
        chance = probability(hits, pooled_chances(hits, rank=5, n=199))
        assert chance == pytest.approx(expected, rel=1e-9)


def test_the_first_bet_by_hand() -> None:
    # A yes at a chance of 1/2 gains 2 odds / (odds + 1): here 0.4, 2/3, 1.2, 4/3, 1.6, 16/9. The
    # share 1 - 1/log(e + 1) takes part.
    gains = sum(2 * odds / (odds + 1) for odds in ODDS) / len(ODDS)
    share = 1 - 1 / math.log(math.e + 1)
    (capital,) = np.exp(log_capital(np.array([True]), np.array([0.5])))
    assert capital == pytest.approx(share * gains + 1 - share, rel=1e-12)


def test_the_capital_is_that_of_every_size_and_start_added_one_by_one() -> None:
    rng = np.random.default_rng(0)
    hits, chances = rng.random(30) < 0.2, rng.uniform(0.01, 0.3, 30)
    shares = [1 / math.log(math.e + i) - 1 / math.log(math.e + i + 1) for i in range(30)]
    capital = 1 - sum(shares)
    for odds, (start, share) in itertools.product(ODDS, enumerate(shares)):
        gains = np.where(hits, odds, 1) / (1 + (odds - 1) * chances)
        capital += share / len(ODDS) * float(np.prod(gains[start:]))
    assert math.exp(log_capital(hits, chances)[-1]) == pytest.approx(capital, rel=1e-9)


def test_the_bets_are_fair_over_all_outcomes_the_capital_is_one_on_average() -> None:
    outcomes = all_outcomes(10)
    means = np.zeros(10)
    for hits in outcomes:
        chances = pooled_chances(hits, rank=2, n=20)
        means += probability(hits, chances) * np.exp(log_capital(hits, chances))
    np.testing.assert_allclose(means, 1, rtol=1e-12)


def capitals_of(n: int, rate: float, *, after: int, images: int, streams: int) -> np.ndarray:
    """Return the log of the capital of streams with a change, (streams, images).

    Each has n calibration images of its own, and a threshold at 2.5%. Before the change images
    are like these; after it so many more are rejected that 2.5% would become `rate`.
    """
    rng = np.random.default_rng(1)
    capitals = np.empty((streams, images))
    odds = rate / (1 - rate) / (0.025 / 0.975)
    for row in capitals:
        scores = rng.exponential(size=n + images)
        hits = scores[n:] > conformal.threshold(scores[:n], alpha=0.025)
        false_rate = math.exp(-conformal.threshold(scores[:n], alpha=0.025))
        more = odds * false_rate / (1 + (odds - 1) * false_rate)
        hits[after:] |= rng.random(images - after) < (more - false_rate) / (1 - false_rate)
        row[:] = log_capital(hits, pooled_chances(hits, rank=int(0.025 * (n + 1)), n=n))
    return capitals


@pytest.mark.pipeline
@pytest.mark.parametrize("n", [39, 199, 5999])
@pytest.mark.parametrize("delta", [0.2, 0.05])
def test_looking_after_every_image_raises_a_false_alarm_in_at_most_delta_of_streams(
    n: int, delta: float
) -> None:
    capitals = capitals_of(n, 0.025, after=0, images=1500, streams=400)
    alarms = float(np.mean(capitals.max(axis=1) >= math.log(1 / delta)))
    assert alarms <= delta + 3 * math.sqrt(delta * (1 - delta) / 400)


# Measured at an alarm of 200 (delta 1%, half of it): 779 and 118 images from the start, 1216 and
# 205 where a change follows 2000 quiet ones.
@pytest.mark.parametrize(
    ("rate", "after", "most"), [(0.05, 0, 800), (0.1, 0, 150), (0.05, 2000, 1500), (0.1, 2000, 300)]
)
def test_half_of_the_changes_are_noticed_within_so_many_images(
    rate: float, after: int, most: int
) -> None:
    capitals = capitals_of(5999, rate, after=after, images=after + 3000, streams=100)
    noticed = capitals >= math.log(200)
    waited = np.where(noticed.any(axis=1), noticed.argmax(axis=1), after + 3000) - after
    assert np.median(waited) <= most


def test_a_band_around_few_calibration_images_hides_what_one_around_many_shows() -> None:
    """Five yeses of a hundred: with 39 held-out images the rate may well be 5%."""
    hits = np.arange(2000) % 20 == 0
    few, many = (
        log_capital(hits, pooled_chances(hits, rank=(n + 1) // 40, n=n))[-1] for n in (39, 39999)
    )
    assert few < math.log(20)
    assert many > math.log(1000)


def test_the_start_of_a_change_is_where_the_yeses_begin() -> None:
    hits = np.arange(400) >= 300
    assert begins(hits, np.full(400, 0.025)) == 300


def test_own_past_by_hand() -> None:
    class Lots(np.random.Generator):
        def random(self, *_: object, **__: object) -> np.ndarray:  # type: ignore[override]
            return np.full(4, 0.5)

    # Of 3: itself. Then 1 is the lower of two, 2 the second of three, and of the two 2s among
    # four, with one below, half lies below the lot.
    shares = rank_p_values(np.array([3.0, 1.0, 2.0, 2.0]), Lots(np.random.PCG64()))
    assert shares.tolist() == [0.5, 0.5 / 2, 1.5 / 3, (1 + 0.5 * 2) / 4]


def test_shares_of_exchangeable_values_with_ties_are_uniform_and_do_not_follow_each_other() -> None:
    rng = np.random.default_rng(0)
    shares = rank_p_values(rng.integers(0, 5, 4000).astype(float), rng)
    assert kstest(shares, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(shares[1:], shares[:-1])[0, 1]) < 4 / math.sqrt(4000)
