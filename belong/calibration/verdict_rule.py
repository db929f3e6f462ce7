"""Turn scores into verdicts, by one threshold for all classes or one per predicted class.

With "per-class", each predicted class has its own threshold, from the calibration images with this
predicted class (Mondrian conformal predictors: Vovk, Gammerman and Shafer, Algorithmic Learning in
a Random World, 2005, section 4.5). Predicted classes are used, as the true class of a new image is
unknown. For a class with too few calibration images, the pooled threshold decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from belong.calibration import conformal
from belong.calibration.sample_size import (
    CERTAINTY,
    MARGINAL,
    PER_CLASS,
    Guarantee,
    least_to_calibrate,
    rejectable,
)
from belong.calibration.verdict import decide
from belong.runtime.text import percent_of

# Added to the guarantee of a cross-conformal calibration, which is approximate.
APPROXIMATELY = "approximately, as the training images calibrate this model"


@dataclass(frozen=True)
class Calibration:
    """The calibration scores of all classes, or of one class, and their threshold.

    Attributes:
        scores: (n,), the scores of the calibration images.
        rank: the rank of the threshold among the scores, see `rejectable`; 0: nothing is rejected.
        threshold: the score up to which an image belongs.
    """

    scores: np.ndarray
    rank: int
    threshold: float

    @cached_property
    def ties(self) -> np.ndarray:
        """For each calibration score, the largest score that counts as equal: (n,), sorted."""
        return conformal.ties(self.scores)

    @cached_property
    def limit(self) -> float:
        """The largest score that counts as equal to the threshold."""
        return float(conformal.tie(np.array(self.threshold), self.scores))

    @classmethod
    def of(cls, scores: np.ndarray, *, alpha: float, guarantee: Guarantee = MARGINAL) -> Self:
        """Calibrate on scores (n,).

        Raises:
            InputError: n is too small for alpha.
        """
        limit = conformal.threshold(scores, alpha=alpha, guarantee=guarantee)
        return cls(scores, rejectable(len(scores), alpha, guarantee), limit)

    def at_rank(self, rank: int) -> Self:
        """Return the threshold that rejects p-values up to rank / (n + 1); 0: none."""
        limit = float(np.sort(self.scores)[-rank]) if rank else np.inf
        return type(self)(self.scores, rank, limit)


@dataclass(frozen=True)
class VerdictRule:
    """The rule that decides whether images belong.

    Attributes:
        guarantee: scope of alpha.
        alpha: promised false-rejection rate, between 0 and 1.
        pooled: the calibration on all calibration images.
        of_class: label -> calibration of the class; only with "per-class", and only for classes
            with enough calibration images.
        few: label -> number of calibration images, for the classes with too few.
        is_cross: whether the training images calibrate, see `belong.calibration.cross_conformal`.
    """

    guarantee: Guarantee
    alpha: float
    pooled: Calibration
    of_class: Mapping[int, Calibration]
    few: Mapping[int, int]
    is_cross: bool = False

    @classmethod
    def of(
        cls,
        scores: np.ndarray,
        predicted: np.ndarray | None,
        *,
        classes: int,
        alpha: float,
        guarantee: Guarantee,
        is_cross: bool = False,
    ) -> Self:
        """Calibrate the thresholds.

        Args:
            scores: (n,), the scores of the calibration images.
            predicted: (n,), their predicted classes, 0..c-1; only "per-class" needs them.
            classes: c.
            alpha: promised false-rejection rate, between 0 and 1.
            guarantee: scope of alpha.
            is_cross: whether the scores are out-of-fold scores of the training images.

        Raises:
            InputError: n is too small for alpha.
            ValueError: "per-class" without predicted classes.
        """
        of_class: dict[int, Calibration] = {}
        few: dict[int, int] = {}
        if guarantee == PER_CLASS:
            if predicted is None:
                raise ValueError("per-class needs the predicted classes")
            for label in range(classes):
                of_label = scores[predicted == label]
                if len(of_label) < least_to_calibrate(alpha):
                    few[label] = len(of_label)
                else:
                    of_class[label] = Calibration.of(of_label, alpha=alpha)
        pooled = Calibration.of(scores, alpha=alpha, guarantee=guarantee)
        return cls(guarantee, alpha, pooled, of_class, few, is_cross)

    def belongs(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return (n,) bool: whether images with scores (n,) and predicted classes (n,) belong."""
        limits = np.full(len(scores), self.pooled.limit)
        for label, calibration in self.of_class.items():
            limits[labels == label] = calibration.limit
        return decide(scores, limits)

    def p_values(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the p-value of each image among the calibration images of its group: (n,)."""
        values = conformal.p_values_of(self.pooled.ties, scores)
        for label, calibration in self.of_class.items():
            is_own = labels == label
            values[is_own] = conformal.p_values_of(calibration.ties, scores[is_own])
        return values

    def at_rank(self, rank: int) -> Self:
        """Return the rule that rejects p-values up to rank / (n + 1), of all classes together."""
        return replace(self, pooled=self.pooled.at_rank(rank), of_class={})

    def groups(self, counts: Sequence[int]) -> list[tuple[int, int, int]]:
        """Return (calibration images, new images, rank) of each threshold, for `rejects_range`.

        `counts` (c,) are the numbers of new images of each predicted class.
        """
        both = [(calibration, counts[label]) for label, calibration in self.of_class.items()]
        both.append((self.pooled, sum(counts) - sum(m for _, m in both)))
        return [(len(calibration.scores), m, calibration.rank) for calibration, m in both]

    def rejects_range(self, counts: Sequence[int]) -> tuple[int, int]:
        """Return the range of the number of false rejects in 95 of 100 cases, see `groups`."""
        return conformal.rejects_range(self.groups(counts), is_cross=self.is_cross)

    def by_chance(self, counts: Sequence[int]) -> float:
        """Return the mean number of rejected images if all images belong, see `groups`."""
        return sum(m * rank / (n + 1) for n, m, rank in self.groups(counts))

    def sentence(self, class_names: Sequence[str]) -> str:
        """Return the guarantee as a sentence."""
        has_thresholds = self.guarantee != PER_CLASS or self.of_class
        guarantee = self.guarantee if has_thresholds else MARGINAL
        text = f"{promise(self.alpha, guarantee)}{self._pooled_classes(class_names)}"
        return f"{text}; {APPROXIMATELY}" if self.is_cross else text

    def _pooled_classes(self, class_names: Sequence[str]) -> str:
        if not self.few:
            return ""
        counts = ", ".join(f"{class_names[label]} ({n})" for label, n in self.few.items())
        return (
            f"; for classes with fewer than {least_to_calibrate(self.alpha)} calibration images, "
            f"the threshold of all classes decides: {counts}"
        )


def promise(alpha: float, guarantee: Guarantee) -> str:
    """Return the guarantee of a threshold as a sentence."""
    limit = f"at most {percent_of(alpha)} of the images that belong are rejected"
    if guarantee == PER_CLASS:
        return f"of each predicted class {limit}"
    return (
        f"{limit}, on average"
        if guarantee == MARGINAL
        else f"with {CERTAINTY:.0%} certainty {limit}"
    )
