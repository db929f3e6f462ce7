"""Combine the scores of several detectors, by the p-values of their scores on held-out images.

Three rules combine p-values into one score. Fisher (Statistical Methods for Research Workers, 1925)
adds minus their logarithms, the surprises. Wilson (The harmonic mean p-value for combining
dependent tests, PNAS 2019, https://doi.org/10.1073/pnas.1814092116) adds their reciprocals, of
whose sum the logarithm is the score. Stouffer (The American Soldier, 1949, vol. 1, p. 45) adds the
standard deviations of a normal distribution with these p-values. The published distributions of
these sums need independent or weakly dependent tests, while detectors on one network are strongly
dependent, so no distribution is assumed: the threshold of the score is calibrated on held-out
images that are not used for the p-values. In Stouffer's sum, several moderately small p-values
outweigh a single very small one; in the harmonic rule, the single one outweighs them. Fisher's rule
is in between.

- If the whole network is trained, the harmonic rule is used, with one member for each stage of the
  network, and two for the first maps. reports/combined/README.md compares it with Fisher's and
  Stouffer's rules, the minimum, weights, and other members, and states how the rule was chosen: by
  synthetic anomalies and by classes left out of the training.
- Above a frozen backbone, Stouffer's rule is used. There every member detects far anomalies, and no
  single member detects near ones. The rule was chosen on five data sets of photos (rooms, clothes,
  flowers, animals, breeds of dogs; 250 training and 50 calibration images per class, one seed): the
  mean AUROC of near anomalies is 0.904 with Stouffer's rule and 0.903 with Fisher's, higher for
  four of the five; for far anomalies it is 0.996 with both. Weights by the AUROC on classes left
  out, the maximum, the Cauchy combination, and 1 to 10 more members gave 0.879 to 0.904. On
  CIFAR-10, which was not used for the choice, in three subsets (lambda 0.1, 3 seeds, near
  anomalies), Stouffer's rule gives 0.715 / 0.890 / 0.879, Fisher's 0.715 / 0.886 / 0.876, and the
  best single detector 0.706 / 0.886 / 0.864.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np

from belong.calibration.conformal import ties
from belong.calibration.sample_size import FITTING, LEAST_IMAGES
from belong.detectors.combination import CombinationRule
from belong.runtime.errors import InputError

REVIEW_HEAD = "review_head"  # the detector trained by `belong learn`


@dataclass(frozen=True)
class Member:
    """The result of `detectors.member_selection` for one candidate.

    Attributes:
        auroc: mean over the classes left out; None if it cannot be measured.
        low: the lower end of its interval.
        left_out: the reason why the candidate is no member; None if it is one.
    """

    auroc: float | None
    low: float | None
    left_out: str | None = None


def entered(members: Mapping[str, Member]) -> list[str]:
    """Return the names of the candidates that are members."""
    return [name for name, one in members.items() if one.left_out is None]


@dataclass(frozen=True)
class Surprise:
    """Convert the scores of one detector to minus log p.

    Below the start of the tail, p is the share of held-out scores that are at least as large. In
    the tail, p follows an exponential distribution with the mean excess of the tail, so that scores
    above all held-out scores still differ.

    Attributes:
        held_out: (n,) sorted, for each held-out score the largest score that counts as equal, see
            `belong.calibration.conformal.ties`.
        start: the score at which the tail starts.
        beyond: a larger score lies in the tail.
        share: share of the held-out scores in the tail.
        mean_excess: mean distance of the held-out scores in the tail from its start.
    """

    held_out: np.ndarray
    start: float
    beyond: float
    share: float
    mean_excess: float

    @classmethod
    def fit(cls, held_out: np.ndarray, *, tail: float) -> Self:
        """Measure the tail, the largest share `tail` of the scores (n,)."""
        n = len(held_out)
        if not np.isfinite(held_out).all():
            raise InputError("combined: a score of a calibration image is not finite")
        if n < LEAST_IMAGES:
            raise InputError(f"combined needs {LEAST_IMAGES} calibration images, got {n} (a half)")
        ordered = np.sort(held_out).astype(np.float64)
        upper_bounds, at = ties(held_out), n - 1 - min(max(1, round(tail * n)), n - 1)
        start = ordered[at]
        beyond = ordered[ordered > start]
        excess = float((beyond - start).mean()) if len(beyond) else _step(ordered)
        return cls(
            upper_bounds, float(start), float(upper_bounds[at]), max(len(beyond), 1) / n, excess
        )

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Return the surprise, which grows with the score: (n,) -> (n,).

        It is infinite for a score that is not finite.
        """
        is_nonfinite = ~np.isfinite(scores)
        scores = np.where(is_nonfinite, np.float32(0), scores)
        at_least = len(self.held_out) - np.searchsorted(self.held_out, scores, side="left")
        share = np.maximum(at_least / len(self.held_out), self.share)
        beyond = np.maximum(scores.astype(np.float64) - self.start, 0) / self.mean_excess
        surprise = np.where(scores > self.beyond, -np.log(self.share) + beyond, -np.log(share))
        return np.where(is_nonfinite, np.inf, surprise)

    def deviation(self, scores: np.ndarray) -> np.ndarray:
        """Return the standard deviations of a normal distribution with the same p: (n,) -> (n,).

        In the tail, the square of the deviation grows by twice the excess, as minus log p of a
        normal distribution is about half the square.
        """
        at_least = len(self.held_out) - np.searchsorted(self.held_out, scores, side="left")
        beyond = np.maximum(scores.astype(np.float64) - self.start, 0) / self.mean_excess
        first = self.first_deviation
        far = np.sqrt(max(first, 0) ** 2 + 2 * beyond) + min(first, 0)
        return np.asarray(np.where(scores > self.beyond, far, self.deviations[at_least]))

    @property
    def first_deviation(self) -> float:
        """The deviation at the start of the tail."""
        return float(_deviation(self.share))

    @property
    def deviations(self) -> np.ndarray:
        """The deviation of a score that 0, 1, ... n held-out scores reach: (n + 1,)."""
        n = len(self.held_out)
        share = np.maximum(np.arange(n + 1) / n, self.share)
        # If all n reach the score, p is only known to be close to 1.
        return _deviation(np.minimum(share, 1 - 0.5 / n))


def _deviation(share: float | np.ndarray) -> np.ndarray:
    """Return the quantile of the normal distribution that a share of values exceeds."""
    from scipy.special import ndtri  # imported here: 0.13 s, and only Stouffer's rule needs it

    return np.asarray(-ndtri(share))


def _step(ordered: np.ndarray) -> float:
    """Return a scale for scores whose largest values tie, so that the tail is empty."""
    distinct = np.unique(ordered)
    return float(distinct[-1] - distinct[-2]) if len(distinct) > 1 else abs(distinct[0]) or 1.0


@dataclass(frozen=True)
class Combination:
    """The surprises of the members, each fitted to the same held-out normal images.

    The head that is trained on corrections gives very small p-values for images like those, and is
    uninformative for all others. The score is therefore the larger one of the head's deviation and
    of the deviation of the sum over all other members.

    Attributes:
        surprises: member -> its surprise.
        rule: "fisher" adds the surprises, "harmonic" the reciprocals of the p-values, "stouffer"
            the deviations.
        others: the surprise of the sum, if the review head is a member.
    """

    surprises: Mapping[str, Surprise]
    rule: CombinationRule = "fisher"
    others: Surprise | None = None

    @classmethod
    def fit(
        cls, held_out: Mapping[str, np.ndarray], *, tail: float, rule: CombinationRule = "fisher"
    ) -> Self:
        """Fit to the scores (n,) of each member."""
        without_head = cls({name: Surprise.fit(x, tail=tail) for name, x in held_out.items()}, rule)
        if REVIEW_HEAD not in held_out:
            return without_head
        return cls(
            without_head.surprises, rule, Surprise.fit(without_head.total(held_out), tail=tail)
        )

    def score(self, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the sum over the members: (n,) for each member -> (n,) float32.

        With the review head, the larger of the deviations of the sum and of the head.
        """
        total = self.total(scores)
        if self.others is None:
            return total
        of_head = self.surprises[REVIEW_HEAD].deviation(scores[REVIEW_HEAD])
        return np.asarray(np.maximum(self.others.deviation(total), of_head), np.float32)

    def total(self, scores: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the sum over all members except the review head: (n,) float32."""
        parts = [
            surprise.deviation(scores[name]) if self.rule == "stouffer" else surprise(scores[name])
            for name, surprise in self.surprises.items()
            if name != REVIEW_HEAD
        ]
        with np.errstate(over="ignore"):  # infinite: such a score is never accepted
            # One after the other: NumPy's sum depends on the number of images, too.
            add = np.logaddexp if self.rule == "harmonic" else np.add
            return reduce(add, parts).astype(np.float32)


def combined(
    scores: Mapping[str, Mapping[str, np.ndarray]],
    held_out: str,
    members: Collection[str],
    *,
    tail: float,
    rule: CombinationRule,
) -> dict[str, np.ndarray]:
    """Return the combined score of every part.

    One half of the held-out images defines the p-values, and only the other half is scored. The
    images that set the threshold are thus exchangeable with new normal images, as the guarantee
    requires.

    Args:
        scores: part -> detector -> (n,).
        held_out: name of the part with the held-out images.
        members: names of detectors.
        tail: share of the held-out scores in the tail, see `Surprise`.
        rule: see `Combination`.

    Returns:
        Part -> (n,) float32, for `held_out` only half of the images.
    """
    combination = Combination.fit(
        {name: scores[held_out][name][FITTING] for name in members}, tail=tail, rule=rule
    )
    scored_half = {name: scores[held_out][name][1::2] for name in members}
    member_scores = {
        part: scored_half if part == held_out else {name: by_name[name] for name in members}
        for part, by_name in scores.items()
    }
    return {part: combination.score(by_name) for part, by_name in member_scores.items()}


def cross_combined(
    scores: Mapping[str, Mapping[str, np.ndarray]],
    held_out: str,
    members: Collection[str],
    *,
    tail: float,
    rule: CombinationRule,
) -> dict[str, np.ndarray]:
    """Return the combined score of every part, with out-of-fold scores of `held_out`.

    The p-values of each held-out image are computed from all other held-out images, just as those
    of a new image are computed from images other than itself.

    The arguments are those of `combined`. Returns part -> (n,) float32.
    """
    member_scores = {name: scores[held_out][name] for name in members}
    other_parts = {part: by_name for part, by_name in scores.items() if part != held_out}
    combination = Combination.fit(member_scores, tail=tail, rule=rule)
    sums = {
        part: combination.score({name: x[name] for name in members})
        for part, x in other_parts.items()
    }
    n = len(next(iter(member_scores.values())))
    each = [
        Combination.fit(
            {name: np.delete(x, row) for name, x in member_scores.items()}, tail=tail, rule=rule
        ).score({name: x[row : row + 1] for name, x in member_scores.items()})
        for row in range(n)
    ]  # fmt: skip
    return sums | {held_out: np.concatenate(each)}
