"""A change of a rate that was noticed."""

from dataclasses import dataclass

import numpy as np

from belong.commands.watch.martingale import begins


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
        chances: (n,) of each hit, see `betting.log_capital`.
        evidence: (n,), the capital that the bets gave.
        places: (n,) of these images in the whole stream.
        limit: in the units of the evidence.
    """
    reached = np.flatnonzero(evidence >= limit)
    if not len(reached):
        return None
    upto = int(reached[0]) + 1
    return Drift(int(places[upto - 1]), int(places[begins(hits[:upto], chances[:upto])]))
