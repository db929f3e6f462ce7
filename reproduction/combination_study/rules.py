"""Define the compared ways to combine several scores into one, and the members.

All rules use the p-values of `belong.detectors.combined`, from the same held-out images.

- `fisher` adds minus log p. Brown's method (1975) corrects the distribution of this sum for
  dependent tests. It does not change the order of the images, so with a threshold from held-out
  images the verdicts are the same.
- `stouffer` adds deviations of a normal distribution.
- `minimum` takes the smallest p (Tippett, The Methods of Statistics, 1931).
- `harmonic` adds 1 / p (Wilson, The harmonic mean p-value for combining dependent tests, PNAS 2019,
  https://doi.org/10.1073/pnas.1814092116).
- `weighted` adds minus log p with the weights that minimize the variance of the sum, so that
  correlated members share a weight. Negative weights become 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from belong.detectors.combination import MEMBERS, MEMBERS_ABOVE_A_FROZEN_BACKBONE
from belong.detectors.combined import Surprise

Rule = Literal["fisher", "stouffer", "minimum", "harmonic", "weighted"]
RULES: tuple[Rule, ...] = get_args(Rule)
TAIL = 0.1  # of params.yaml
TAILS = (0.02, 0.05, TAIL, 0.2)

EARLIER = tuple(name for name in MEMBERS if name != "gram_maps")
# Name -> members. One detector for each stage of the network; two on the first maps, or on the
# reconstruction of the autoencoder.
WHOLE: Mapping[str, tuple[str, ...]] = {
    "earlier": EARLIER,
    "earlier + gram_maps": MEMBERS,
    "gram_maps for mahalanobis_maps": ("gram_maps", *EARLIER[1:]),
    "earlier + reconstruction": (*EARLIER, "reconstruction"),
    "earlier + gram_maps + reconstruction": (*MEMBERS, "reconstruction"),
}
FROZEN: Mapping[str, tuple[str, ...]] = {
    "earlier": MEMBERS_ABOVE_A_FROZEN_BACKBONE,
    "earlier + gram_maps": (*MEMBERS_ABOVE_A_FROZEN_BACKBONE, "gram_maps"),
}


@dataclass(frozen=True)
class Way:
    """A way to combine several scores into one."""

    members: str
    rule: Rule
    tail: float

    def __str__(self) -> str:
        return f"{self.members}; {self.rule}; {self.tail:g}"


def ways(sets: Iterable[str]) -> list[Way]:
    """Return all rules with all sets of members at one tail, and two rules at other tails."""
    return [
        Way(members, rule, tail)
        for members in sets
        for rule in RULES
        for tail in (TAILS if rule in ("fisher", "harmonic") else (TAIL,))
    ]


# The ways for the test images, in addition to `combined` as in the model.
MEASURED = [
    Way(members, rule, TAIL) for members in ("earlier", "earlier + gram_maps") for rule in RULES
]


def combine(
    rule: Rule,
    held_out: Sequence[np.ndarray],
    scores: Sequence[Sequence[np.ndarray]],
    *,
    tail: float,
) -> list[np.ndarray]:
    """Return one score (n,) for each part.

    Args:
        rule: one of `RULES`.
        held_out: for each member, (m,) scores of the held-out images.
        scores: for each part, for each member, (n,).
        tail: see `belong.detectors.combined`.
    """
    surprises = [Surprise.fit(scores_of_detector, tail=tail) for scores_of_detector in held_out]
    if rule == "weighted":
        deviations = np.array(
            [
                surprise(scores_of_detector)
                for surprise, scores_of_detector in zip(surprises, held_out, strict=True)
            ]
        )
        weights = _of_least_variance(np.cov(deviations))
    combined = []
    for part in scores:
        pairs = list(zip(surprises, part, strict=True))
        if rule == "stouffer":
            combined.append(np.sum([surprise.deviation(x) for surprise, x in pairs], axis=0))
            continue
        parts = [surprise(x) for surprise, x in pairs]
        match rule:
            case "fisher":
                combined.append(np.sum(parts, axis=0))
            case "minimum":
                combined.append(np.max(parts, axis=0))
            case "harmonic":
                combined.append(np.logaddexp.reduce(parts))
            case "weighted":
                combined.append(weights @ np.array(parts))
    return combined


def _of_least_variance(covariance: np.ndarray) -> np.ndarray:
    """Return the weights (k,) from 0 to 1 that minimize the variance; the largest is 1."""
    weights = np.maximum(np.linalg.solve(covariance, np.ones(len(covariance))), 0)
    return np.asarray(weights / weights.max())
