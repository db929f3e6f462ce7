"""Test the claims of paper A on our grid.

Claims on the F1 of detection are tested with FPR95. The paper names no threshold for the
supervised detector, and no cell has its threshold for the other. At our threshold, which rejects a
fixed share of normal images, F1 reflects how closely that share was met more than it reflects the
detector. At a fixed recall, F1 and accuracy rise exactly as the false accepts fall.

A claim is a list of differences that must all be above zero. It is confirmed if the 95% interval
of every difference is above zero; since all of them must be, testing many makes a wrong
"confirmed" no likelier (an intersection-union test: Berger, Technometrics 24, 1982). It is not
confirmed if a difference that could be tested is not above zero, and not testable if none, or too
few, could be tested.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise

import pandas as pd

from reproduction.paper.anomaly_sets import OWN, auroc_of, further
from reproduction.paper.published import title
from reproduction.paper.seed_statistics import Comparison, best_of, by_seed

CONFIRMED, NOT_CONFIRMED, NOT_TESTABLE = "confirmed", "not confirmed", "not testable here"

# What the text of the paper says, beside its table.
LENET = ("mnist-fashion-mnist", "digit-0")
IMAGENET = ("imagenet30-a", "imagenet30-b", "imagenet30-c")
RECOMMENDED = (0.1, 1.0)
WORST_ACCURACY, WORST_F1 = 0.0052, 0.005295
F1_OF_CLASSIFICATION = dict.fromkeys(LENET, (0.9852, 0.9915)) | dict.fromkeys(
    IMAGENET, (0.9897, 0.9989)
)

ACCURACY, CLASS_F1 = "classification.accuracy", "classification.f1_macro"
SEMI, SUPERVISED = "detectors.mahalanobis", "detectors.mlp_head"
NO_THRESHOLD = (
    "no cell has its threshold: the paper does not publish the threshold of the supervised "
    "detector, and takes the other one from the training images"
)


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, its place there, and the differences that must be above zero."""

    text: str
    where: str
    comparisons: list[Comparison] = field(default_factory=list)
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return one of the three verdicts."""
        answers = [comparison.holds for comparison in self.comparisons]
        if False in answers:
            return NOT_CONFIRMED
        return CONFIRMED if answers and None not in answers else NOT_TESTABLE

    @property
    def evidence(self) -> str:
        """Return in words how many differences are above zero, and the lowest of them."""
        tested = [one for one in self.comparisons if one.holds is not None]
        if not self.comparisons:
            return self.note or "no cell was run"
        if not tested:
            return "fewer than two seeds with both sides"
        confirmed = [one for one in tested if one.holds]
        reversed_ = [one for one in tested if one.interval[1] < 0]
        lowest = min(tested, key=lambda one: one.interval[0])
        low, high = lowest.interval
        words = [f"{len(confirmed)} of {len(tested)} differences above zero"]
        if reversed_:
            words.append(f"{len(reversed_)} below zero")
        if len(tested) < len(self.comparisons):
            words.append(f"{len(self.comparisons) - len(tested)} with fewer than two seeds")
        return (
            f"{', '.join(words)}; lowest: {lowest.what}, {lowest.mean:+.4f} "
            f"({low:+.4f} to {high:+.4f}, n = {lowest.n})"
        )


def claims(grid: pd.DataFrame, lambdas: Sequence[float], sets: pd.DataFrame) -> list[Claim]:
    """Return the claims of the paper, in its order.

    Args:
        grid: a row for each cell.
        lambdas: those that the paper tried, 0 among them.
        sets: the columns of `anomaly_sets.COLUMNS`.
    """
    recalls = {f"{one}.found_at_95": 1 - grid[f"{one}.fpr95"] for one in (SEMI, SUPERVISED)}
    grid = pd.concat([grid, pd.DataFrame(recalls)], axis=1)
    grid["pair"] = grid["pair"].astype("category")  # compared 20 times as fast as text
    ran = set(grid["pair"])
    here = [pair for pair in (*LENET, *IMAGENET) if pair in ran]
    lenet = [pair for pair in LENET if pair in ran]
    imagenet = [pair for pair in IMAGENET if pair in ran]
    positive = [one for one in sorted(lambdas) if one > 0]

    @cache
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
        pairs: Sequence[str], candidates: Sequence[float], others: Sequence[float], column: str
    ) -> list[Comparison]:
        """Compare the best of some lambdas with the best of others, on each pair."""
        differences = []
        for pair in pairs:
            first, second = (
                best_of(grid, pair, candidates, column),
                best_of(grid, pair, others, column),
            )
            if first is None or second is None:
                # An untested difference keeps the other pairs from confirming the claim alone.
                run = listed(others if first is not None else candidates)
                differences.append(Comparison.of(f"{title(pair)}: not run at {run}", []))
            else:
                what = f"{title(pair)}: best {named(column)} of {listed(candidates)} "
                what += f"(at {first:g}) less that at {second:g}"
                if len(others) > 1:
                    what += f", the best of {listed(others)}"
                one, other = at(pair, first, column), at(pair, second, column)
                differences.append(Comparison.between(what, one, other, looks=len(candidates)))
        return differences

    def above(
        pairs: Sequence[str], column: str, sides: Callable[[pd.Series], list[tuple[str, pd.Series]]]
    ) -> list[Comparison]:
        """Compare a number itself with fixed bounds, at each lambda of each pair."""
        return [
            Comparison.of(f"{title(pair)}, lambda {one:g}: {named(column)} {what}", values)
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
            "Center loss improves the results for ImageNet-30 in one of the three experiments.",
            "III, first paragraph",
            largest(best(imagenet, positive, [0.0], ACCURACY)),
        ),
        Claim(
            f"Center loss costs at most {WORST_ACCURACY} of accuracy and {WORST_F1} of F1.",
            "III, first paragraph; IV",
            [
                comparison.plus(most)
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
            best(here, positive, [0.0], f"{SEMI}.found_at_95"),
        ),
        Claim(
            "It rises by more than 0.03 in three of the five.",
            "III, figure 3",
            note=NO_THRESHOLD,
        ),
        Claim(
            "The best lambda for the semi-supervised detector is 0.1 or 1.",
            "III, figure 3",
            best(here, RECOMMENDED, others, f"{SEMI}.found_at_95"),
        ),
        Claim(
            "The supervised detector has its best F1 without center loss.",
            "III, figure 4",
            note=NO_THRESHOLD,
        ),
        Claim(
            "Center loss costs it 0.19 in the worst case.",
            "III, figure 4",
            note=NO_THRESHOLD,
        ),
        Claim(
            "That harm is greater for photos and the deeper network.",
            "III, figure 4; of AUROC here",
            [
                Comparison.unpaired(
                    f"loss on {title(photos)} less that on {title(digits)}, "
                    f"{named(f'{SUPERVISED}.auroc')}, lambda 0 against {last:g}",
                    *(
                        (
                            at(pair, 0.0, f"{SUPERVISED}.auroc")
                            - at(pair, last, f"{SUPERVISED}.auroc")
                        ).dropna()
                        for pair in (photos, digits)
                    ),
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
                    f"{title(pair)}, lambda {one:g}: {named(f'{SUPERVISED}.{number}')} less the "
                    "same of mahalanobis",
                    at(pair, one, f"{SUPERVISED}.{number}"),
                    at(pair, one, f"{SEMI}.{number}"),
                )
                for number in ("auroc", "found_at_95")
                for pair in here
                for one in sorted(lambdas)
            ],
        ),
        Claim(
            "F1 lies between 0.8695 and 0.9913 (semi-supervised) and between 0.9881 and 0.9990 "
            "(supervised) with LeNet, between 0.7172 and 0.8149 and between 0.8083 and 0.9727 with "
            "EfficientNet-B0.",
            "III, after figure 3",
            note=NO_THRESHOLD,
        ),
        Claim(
            f"A high lambda ({last:g}) raises the AUROC of the semi-supervised detector.",
            "III, figure 5",
            change(here, last, 0.0, f"{SEMI}.auroc"),
        ),
        Claim(
            "Center loss lowers the AUROC of the supervised detector.",
            "III, figure 5; IV",
            change(here, 0.0, last, f"{SUPERVISED}.auroc"),
        ),
        Claim(
            "With center loss normal images lie around their centroids and anomalies around the "
            "zero vector; without it both are without structure.",
            "III, figure 6; IV",
            note="a plane does not show it: see our figure 6",
        ),
        Claim(
            "The larger lambda, the larger the accuracy and the AUROC of the semi-supervised "
            "detector.",
            "IV, second paragraph",
            [
                comparison
                for number in ("found_at_95", "auroc")
                for smaller, larger in pairwise(sorted(lambdas))
                for comparison in change(here, larger, smaller, f"{SEMI}.{number}")
            ],
        ),
        Claim(
            "The supervised detector depends on the choice of its anomalies.",
            "IV, last paragraph",
            [
                comparison
                for pair in here
                for one in sorted(set(sets.loc[sets["pair"] == pair, "lambda"]))
                for comparison in largest(on_others(sets, pair, one))
            ],
        ),
    ]


def on_others(sets: pd.DataFrame, pair: str, lambda_: float) -> list[Comparison]:
    """Compare the supervised detector on anomalies of the kind it trained with and on others."""
    on_its_set = auroc_of(sets, pair, lambda_, "mlp_head", OWN)
    return [
        Comparison.between(
            f"{title(pair)}, lambda {lambda_:g}: AUROC of mlp_head on the pair's own anomalies "
            f"less that on {anomalies.replace('_', ' ')}",
            on_its_set,
            auroc_of(sets, pair, lambda_, "mlp_head", anomalies),
        )
        for anomalies in further(sets, pair, lambda_)
    ]


def largest(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparison with the largest mean, its interval widened for the choice.

    If no comparison has a seed, return them all.
    """
    measured = [one for one in comparisons if one.n]
    if not measured:
        return list(comparisons)
    first = max(measured, key=lambda one: one.mean)
    return [replace(first, looks=first.looks * len(measured))]


def within(low: float, high: float) -> Callable[[pd.Series], list[tuple[str, pd.Series]]]:
    """Return what turns a number into its distances from two bounds, both above zero between."""
    return lambda number: [
        (f"over {low:g}", number - low),
        (f"under {high:g}", high - number),
    ]


def named(column: str) -> str:
    """Return a column of the grid in words."""
    *_, of, number = column.split(".")
    words = {
        "accuracy": "accuracy",
        "f1_macro": "macro F1",
        "auroc": f"AUROC of {of}",
        "found_at_95": f"1 - FPR95 of {of}",
    }
    return words[number]


def listed(lambdas: Iterable[float]) -> str:
    """Return lambdas in words."""
    return ", ".join(f"{one:g}" for one in sorted(lambdas))
