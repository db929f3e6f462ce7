r"""Test a binary stream for a change of its rate, with a bound on false alarms.

Somebody bets against the chances that hold as long as nothing has changed, at odds that are fair
under them. Then the capital is a non-negative martingale that starts at 1, and by Ville's
inequality it reaches 1/delta, ever, with a probability of at most delta: one may look after every
image, and stop at any (Ville, Étude critique de la notion de collectif, 1939; Shafer, Testing by
betting, 2021; Ramdas et al., Game-theoretic statistics and safe anytime-valid inference, 2023).

The capital is divided between bets of several sizes, and between all the places of the stream where
a change may begin; what is set aside for a later place is not touched before. So a change after a
million quiet images is found too (Vovk et al., Testing randomness online, 2021, reset a martingale
for that; a sum over the starts keeps Ville's inequality).
"""

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

import numpy as np

# How many times the odds of a yes are as high after a change as before: less, or more.
ODDS = (1 / 4, 1 / 2, 3 / 2, 2.0, 4.0, 8.0)


def pooled_chances(hits: np.ndarray, *, rank: int, n: int) -> np.ndarray:
    """Return the chance of each yes, given those before it, if images are like n held-out ones.

    A yes is a score above all but `rank` of n held-out scores. Given these, the images are drawn
    at a rate that nobody knows; over the draws of both it is beta(rank, n + 1 - rank), if no two
    scores tie, and the yeses follow Pólya's urn: rank of n + 1 balls say yes at first, and each
    ball that is drawn is put back with another of its kind. The product of these chances is the
    beta-binomial law that `conformal.promised_range` takes its quantiles from. That the same
    held-out images judge the whole stream, which makes p-values dependent, is thus exactly
    taken into account: over the draws of the held-out images, not given one unlucky draw.

    Args:
        hits: (n,) bool.
        rank: 1..n.
        n: held-out images.
    """
    before = np.concatenate([[0], np.cumsum(hits)[:-1]])
    return np.asarray((rank + before) / (n + 1 + np.arange(len(hits))))


def log_capital(hits: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Return the logarithm of the capital after each image: (n,) -> (n,).

    Args:
        hits: (n,) bool.
        chances: (n,) or a number: of a yes, given all before, as long as nothing has changed.
    """
    return capital_of(_gains(hits, chances))


def capital_of(gains: np.ndarray) -> np.ndarray:
    """Return the logarithm of the capital after each image: (n,).

    `gains` (k, n) are the logarithms of what each of k fair bets has gained since the first image.
    """
    k, n = gains.shape
    # The share 1/log(e + i) - 1/log(e + i + 1) begins to bet after i images: it falls hardly
    # faster than 1/i, and the sum of all is 1.
    later = 1 / np.log(np.e + np.arange(n + 1))
    shares = np.log(later[:-1] - later[1:])
    running = np.logaddexp.accumulate(shares - (gains - _steps(gains)), axis=1) + gains
    bets: np.ndarray = np.logaddexp.reduce(running, axis=0) - np.log(k)
    return np.asarray(np.logaddexp(bets, np.log(later[1:])))


def begins(hits: np.ndarray, chances: np.ndarray) -> int:
    """Return after how many images the bet would best have begun that has gained most."""
    return begins_of(_gains(hits, chances))


def begins_of(gains: np.ndarray) -> int:
    """Return after how many images the bet of (k, n) would best have begun that has gained most."""
    before = gains - _steps(gains)
    won = gains[:, -1:] - before
    return int(np.unravel_index(np.argmax(won), won.shape)[1])


@dataclass(frozen=True)
class Drift:
    """When a rate changed, in places of the stream from 0 on.

    Attributes:
        noticed: the image after which the capital had reached its limit.
        begun: the image at which the winning bet would best have begun; an estimate.
    """

    noticed: int
    begun: int


def first_drift(
    hits: np.ndarray, chances: np.ndarray, evidence: np.ndarray, places: np.ndarray, *, limit: float
) -> Drift | None:
    """Return the drift at which the evidence first reaches the limit, if it ever does.

    Args:
        hits: (n,) bool, what was bet on.
        chances: (n,) of each hit, see `log_capital`.
        evidence: (n,) log10 of the capital that the bets gave.
        places: (n,) of these images in the whole stream.
        limit: in the units of the evidence.
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
    """Return for each value the share of it and all before that are as low; ties by lot.

    They are independent and uniform on 0..1 if the values are exchangeable, whatever their law
    (Vovk et al., Testing exchangeability on-line, 2003).

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
    """Return the logarithm of what each size of bet has gained since the first image: (k, n)."""
    odds = np.array(ODDS)[:, None]
    fair = 1 + (odds - 1) * chances
    return np.asarray(np.cumsum(np.where(hits, np.log(odds), 0) - np.log(fair), axis=1))


def _steps(gains: np.ndarray) -> np.ndarray:
    return np.diff(gains, axis=1, prepend=0)
