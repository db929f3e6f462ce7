r"""Test a binary stream for a change of its rate, with a bound on false alarms.

The test bets against the probabilities of the null hypothesis, that nothing has changed, at odds
that are fair under it. The capital is then a non-negative martingale that starts at 1. By Ville's
inequality it ever reaches 1/delta with a probability of at most delta, so the test may be read
after every image and stopped at any time (Ville, Étude critique de la notion de collectif, 1939;
Shafer, Testing by betting, 2021; Ramdas et al., Game-theoretic statistics and safe anytime-valid
inference, 2023).

The capital is divided between bets of several sizes, and between all positions of the stream at
which a change may begin. The capital for a later position is not used before it. A change after a
million images without one is therefore detected, too. (Vovk et al., Testing randomness online,
2021, reset a martingale for this purpose; a sum over the starts keeps Ville's inequality.)
"""

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

import numpy as np

# Odds ratios of the bets: odds of a hit after a change, divided by the odds before it.
ODDS = (1 / 4, 1 / 2, 3 / 2, 2.0, 4.0, 8.0)


def pooled_chances(hits: np.ndarray, *, rank: int, n: int) -> np.ndarray:
    """Return the probability of each hit, given the hits before it, under the null hypothesis.

    A hit is a score that is among the `rank` highest of n held-out scores and itself. Under the
    null hypothesis, new images come from the distribution of the held-out images. The hit rate is
    unknown; over all draws of the held-out images it has the distribution
    beta(rank, n + 1 - rank), if no two scores tie. The hits then follow a Pólya urn: rank of n + 1
    balls stand for a hit at first, and each ball that is drawn is put back with another of its
    kind. The product of these probabilities is the beta-binomial distribution whose quantiles
    `conformal.promised_range` returns. The urn accounts exactly for the dependence of the p-values,
    which all use the same held-out images; it averages over the draws of the held-out images, and
    does not condition on one draw.

    Args:
        hits: (m,) bool.
        rank: 1..n.
        n: number of held-out images.
    """
    before = np.concatenate([[0], np.cumsum(hits)[:-1]])
    return np.asarray((rank + before) / (n + 1 + np.arange(len(hits))))


def log_capital(hits: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Return the logarithm of the capital after each image: (n,) -> (n,).

    Args:
        hits: (n,) bool.
        chances: (n,) or a number: probability of a hit, given all images before, if nothing has
            changed.
    """
    return capital_of(_gains(hits, chances))


def capital_of(gains: np.ndarray) -> np.ndarray:
    """Return the logarithm of the capital after each image: (n,).

    `gains` (k, n) are the logarithms of the gains of k fair bets since the first image.
    """
    k, n = gains.shape
    # The share 1/log(e + i) - 1/log(e + i + 1) of the capital is bet from image i on. The shares
    # sum to 1, and decrease only slightly faster than 1/i.
    later = 1 / np.log(np.e + np.arange(n + 1))
    shares = np.log(later[:-1] - later[1:])
    running = np.logaddexp.accumulate(shares - (gains - _steps(gains)), axis=1) + gains
    bets: np.ndarray = np.logaddexp.reduce(running, axis=0) - np.log(k)
    return np.asarray(np.logaddexp(bets, np.log(later[1:])))


def begins(hits: np.ndarray, chances: np.ndarray) -> int:
    """Return the number of images before the best start of the bet with the highest gain."""
    return begins_of(_gains(hits, chances))


def begins_of(gains: np.ndarray) -> int:
    """Return the best start, as `begins` does, from the log gains (k, n) of the bets."""
    before = gains - _steps(gains)
    gain_from = gains[:, -1:] - before
    return int(np.unravel_index(np.argmax(gain_from), gain_from.shape)[1])


@dataclass(frozen=True)
class Drift:
    """The change of a rate; positions in the stream count from 0.

    Attributes:
        noticed: the image at which the capital reached its limit.
        begun: estimate of the image at which the rate changed: the best start of the winning bet.
    """

    noticed: int
    begun: int


def first_drift(
    hits: np.ndarray, chances: np.ndarray, evidence: np.ndarray, places: np.ndarray, *, limit: float
) -> Drift | None:
    """Return the drift at which the evidence first reaches the limit, if it ever does.

    Args:
        hits: (n,) bool, the outcomes of the bets.
        chances: (n,) probability of each hit, see `log_capital`.
        evidence: (n,) log10 of the capital of the bets.
        places: (n,) positions of these images in the whole stream.
        limit: in the unit of the evidence.
    """
    return drift_of(_gains(hits, chances), evidence, places, limit=limit)


def drift_of(
    gains: np.ndarray, evidence: np.ndarray, places: np.ndarray, *, limit: float
) -> Drift | None:
    """Return the drift at which the evidence (n,) of bets (k, n) first reaches the limit."""
    reached = np.flatnonzero(evidence >= limit)
    if not len(reached):
        return None
    upto = int(reached[0]) + 1
    return Drift(int(places[upto - 1]), int(places[begins_of(gains[:, :upto])]))


def rank_p_values(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each value its p-value among itself and all values before: (n,) -> (n,).

    The p-value is the share of values that are at most as high, with ties broken at random. If the
    values are exchangeable, the p-values are independent and uniform on 0..1 (Vovk et al., Testing
    exchangeability on-line, 2003).

    Args:
        values: (n,).
        rng: breaks the ties.
    """
    past: list[float] = []
    shares = np.empty(len(values))
    for place, (value, lot) in enumerate(
        zip(values.tolist(), rng.random(len(values)), strict=True)
    ):
        lower = bisect_left(past, value)
        alike = bisect_right(past, value, lower) - lower + 1
        shares[place] = (lower + lot * alike) / (place + 1)
        insort(past, value)
    return shares


def _gains(hits: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Return the logarithm of the gain of each size of bet since the first image: (k, n)."""
    odds = np.array(ODDS)[:, None]
    fair = 1 + (odds - 1) * chances
    return np.asarray(np.cumsum(np.where(hits, np.log(odds), 0) - np.log(fair), axis=1))


def _steps(gains: np.ndarray) -> np.ndarray:
    return np.diff(gains, axis=1, prepend=0)
