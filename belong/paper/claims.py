"""The claims of paper A, each decided by our grid and a rule.

A claim is a list of differences that must all be above zero. It is confirmed if every one of
their 95 % intervals is above zero; as all of them have to be, testing many makes a wrong
"confirmed" no likelier (an intersection-union test: Berger, Technometrics 24, 1982). It is not
confirmed if a difference that could be tested is not above zero, and not testable if none could,
or too few.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd

from belong.paper.published import title
from belong.paper.seeds import Comparison, best_of, by_seed

CONFIRMED, NOT_CONFIRMED, NOT_TESTABLE = "confirmed", "not confirmed", "not testable here"

# What the text of the paper says, beside its table.
LENET = ("mnist-fashion-mnist", "digit-0")
IMAGENET = ("imagenet30-a", "imagenet30-b", "imagenet30-c")
RECOMMENDED = (0.1, 1.0)
WORST_ACCURACY, WORST_F1 = 0.0052, 0.005295
F1_OF_CLASSIFICATION = dict.fromkeys(LENET, (0.9852, 0.9915)) | dict.fromkeys(
    IMAGENET, (0.9897, 0.9989)
)
PROMISED = 0.025
# How far the rate of false rejects may lie from the promised one and still count as kept.
LEEWAY = 0.005

ACCURACY, CLASS_F1 = "classification.accuracy", "classification.f1_macro"
SEMI, SUPERVISED = "detectors.mahalanobis", "detectors.mlp_head"


@dataclass(frozen=True)
class Claim:
    """What the paper says, where it says it, and what has to be above zero for it to hold."""

    text: str
    where: str
    comparisons: list[Comparison] = field(default_factory=list)
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return one of the three verdicts."""
        held = [comparison.holds for comparison in self.comparisons]
        if False in held:
            return NOT_CONFIRMED
        return CONFIRMED if held and None not in held else NOT_TESTABLE

    @property
    def evidence(self) -> str:
        """Return in words how many differences are above zero, and the lowest of them."""
        tested = [one for one in self.comparisons if one.holds is not None]
        if not self.comparisons:
            return self.note or "no cell has been run for it"
        if not tested:
            return "fewer than two seeds have both sides"
        held = [one for one in tested if one.holds]
        reversed_ = [one for one in tested if one.interval[1] < 0]
        lowest = min(tested, key=lambda one: one.interval[0])
        low, high = lowest.interval
        words = [f"{len(held)} of {len(tested)} differences above zero"]
        if reversed_:
            words.append(f"{len(reversed_)} below zero")
        if len(tested) < len(self.comparisons):
            words.append(f"{len(self.comparisons) - len(tested)} without two seeds")
        return (
            f"{', '.join(words)}; lowest: {lowest.what}, {lowest.mean:+.4f} "
            f"({low:+.4f} to {high:+.4f}, n = {lowest.n})"
        )


def claims(grid: pd.DataFrame, lambdas: Sequence[float]) -> list[Claim]:
    """Return the claims of the paper, in its order.

    Args:
        grid: a row for each cell.
        lambdas: those that the paper tried, 0 among them.
    """
    ran = set(grid["pair"])
    here = [pair for pair in (*LENET, *IMAGENET) if pair in ran]
    lenet = [pair for pair in LENET if pair in ran]
    imagenet = [pair for pair in IMAGENET if pair in ran]
    positive = [one for one in sorted(lambdas) if one > 0]

    def at(pair: str, lambda_: float, column: str) -> pd.Series:
        return by_seed(grid, pair, lambda_, column)

    def change(pairs: Sequence[str], first: float, second: float, column: str) -> list[Comparison]:
        """Compare two lambdas on each pair."""
        return [
            Comparison.between(
                f"{title(pair)}: {named(column)} at {first:g} less that at {second:g}",
                at(pair, first, column),
                at(pair, second, column),
            )
            for pair in pairs
        ]

    def best(
        pairs: Sequence[str], some: Sequence[float], others: Sequence[float], column: str
    ) -> list[Comparison]:
        """Compare the best of some lambdas with the best of others, on each pair."""
        found = []
        for pair in pairs:
            first, second = best_of(grid, pair, some, column), best_of(grid, pair, others, column)
            if first is None or second is None:
                # Said to be untested, lest the other pairs confirm the claim alone.
                run = listed(others if first is not None else some)
                found.append(Comparison(f"{title(pair)}: not run at {run}", np.array([])))
            else:
                what = f"{title(pair)}: best {named(column)} of {listed(some)} (at {first:g}) less "
                what += f"that at {second:g}"
                if len(others) > 1:
                    what += f", the best of {listed(others)}"
                one, other = at(pair, first, column), at(pair, second, column)
                found.append(Comparison.between(what, one, other, looks=len(some)))
        return found

    def above(
        pairs: Sequence[str], column: str, sides: Callable[[pd.Series], list[tuple[str, pd.Series]]]
    ) -> list[Comparison]:
        """Compare a number itself with fixed bounds, at each lambda of each pair."""
        return [
            Comparison(f"{title(pair)}, lambda {one:g}: {named(column)} {what}", values.to_numpy())
            for pair in pairs
            for one in sorted(lambdas)
            for what, values in sides(at(pair, one, column))
        ]

    others = [one for one in sorted(lambdas) if one not in RECOMMENDED]
    last = max(lambdas)
    return [
        Claim(
            "The F1 of classification lies between 0.9852 and 0.9915 with LeNet, and between "
            "0.9897 and 0.9989 with EfficientNet-B0.",
            "III, first paragraph",
            [
                comparison
                for pair in here
                for comparison in above([pair], CLASS_F1, within(*F1_OF_CLASSIFICATION[pair]))
            ],
        ),
        Claim(
            "Center loss improves the accuracy of LeNet in all experiments.",
            "III, first paragraph",
            best(lenet, positive, [0.0], ACCURACY),
        ),
        Claim(
            f"Center loss costs at most {WORST_ACCURACY} of accuracy and {WORST_F1} of F1.",
            "III, first paragraph; IV",
            [
                Comparison(f"{comparison.what}, plus {most}", comparison.differences + most)
                for column, most in ((ACCURACY, WORST_ACCURACY), (CLASS_F1, WORST_F1))
                for one in positive
                for comparison in change(here, one, 0.0, column)
            ],
        ),
        Claim(
            "The best lambda for classification is 0.1 or 1.",
            "III, first paragraph",
            best(here, RECOMMENDED, others, CLASS_F1),
        ),
        Claim(
            "Center loss improves the F1 of the semi-supervised detector in all experiments.",
            "III, figure 3",
            best(here, positive, [0.0], f"{SEMI}.f1_normal"),
        ),
        Claim(
            "The best lambda for the semi-supervised detector is 0.1 or 1.",
            "III, figure 3",
            best(here, RECOMMENDED, others, f"{SEMI}.f1_normal"),
        ),
        Claim(
            f"A high lambda ({last:g}) raises the AUROC of the semi-supervised detector.",
            "III, figure 5",
            change(here, last, 0.0, f"{SEMI}.auroc"),
        ),
        Claim(
            "The larger lambda, the larger the AUROC of the semi-supervised detector.",
            "IV, second paragraph",
            [
                comparison
                for smaller, larger in pairwise(sorted(lambdas))
                for comparison in change(here, larger, smaller, f"{SEMI}.auroc")
            ],
        ),
        Claim(
            "The supervised detector has its best F1 without center loss.",
            "III, figure 4",
            [
                comparison
                for one in positive
                for comparison in change(here, 0.0, one, f"{SUPERVISED}.f1_normal")
            ],
        ),
        Claim(
            "Center loss lowers the AUROC of the supervised detector.",
            "III, figure 5; IV",
            change(here, 0.0, last, f"{SUPERVISED}.auroc"),
        ),
        Claim(
            "That harm is greater for photos and the deeper network.",
            "III, figure 4",
            [
                Comparison.between(
                    f"loss on {title(photos)} less that on {title(digits)}, "
                    f"{named(f'{SUPERVISED}.auroc')}, lambda 0 against {last:g}",
                    at(photos, 0.0, f"{SUPERVISED}.auroc")
                    - at(photos, last, f"{SUPERVISED}.auroc"),
                    at(digits, 0.0, f"{SUPERVISED}.auroc")
                    - at(digits, last, f"{SUPERVISED}.auroc"),
                )
                for photos in imagenet
                for digits in lenet
            ],
        ),
        Claim(
            "The supervised detector is better than the semi-supervised one.",
            "III, figures 3 and 4; IV",
            [
                Comparison.between(
                    f"{title(pair)}, lambda {one:g}: {measure} of mlp_head less that of "
                    "mahalanobis",
                    at(pair, one, f"{SUPERVISED}.{number}"),
                    at(pair, one, f"{SEMI}.{number}"),
                )
                for measure, number in (("AUROC", "auroc"), ("F1", "f1_normal"))
                for pair in here
                for one in sorted(lambdas)
            ],
        ),
        Claim(
            "The supervised detector depends on the choice of its anomalies.",
            "IV, last paragraph",
            note="the grid measures the pair's own anomalies only; reports/plots/anomaly_sets.csv "
            "has others, for one cell",
        ),
        Claim(
            "The 97.5th percentile of the training distances is a threshold that rejects 2.5 % of "
            "normal images (the paper implies it; we allow half a percent).",
            "II, Mahalanobis distance",
            above(
                here,
                "calibration.false_reject_training",
                within(PROMISED - LEEWAY, PROMISED + LEEWAY),
            ),
        ),
        Claim(
            "With center loss normal images lie around their centroids and anomalies around the "
            "zero vector; without it both are without structure.",
            "III, figure 6; IV",
            note="a plane does not show it: see our figure 6",
        ),
    ]


def within(low: float, high: float) -> Callable[[pd.Series], list[tuple[str, pd.Series]]]:
    """Return what turns a number into its distances from two bounds, both above zero between."""
    return lambda number: [
        (f"less {low:g}", number - low),
        (f"below {high:g} by", high - number),
    ]


def named(column: str) -> str:
    """Return a column of the grid in words."""
    *_, of, number = column.split(".")
    words = {
        "accuracy": "accuracy",
        "f1_macro": "macro F1",
        "false_reject_training": "false rejects",
        "auroc": f"AUROC of {of}",
        "f1_normal": f"F1 of {of}",
    }
    return words[number]


def listed(lambdas: Iterable[float]) -> str:
    """Return lambdas in words."""
    return ", ".join(f"{one:g}" for one in sorted(lambdas))
