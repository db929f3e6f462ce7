"""Compute the effects of center loss and L2 normalization on AUROC, paired by seed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from reproduction.normalization_study.measures import DETECTORS, NORMALIZED, RAW
from reproduction.paper.seed_statistics import Comparison, by_seed
from reproduction.photo_study.parts import PARTS

PHOTO_PAIRS = tuple(f"cifar10-{part}" for part in PARTS)
DIGITS, PHOTOS = "digits", "photos"
RAISES, LOWERS, BOTH, OPEN = "raises", "lowers", "raises and lowers", "not clear"


@dataclass(frozen=True)
class Task:
    """Anomalies to be found: of one pair, or of all three parts of CIFAR-10 on average.

    Attributes:
        title: in words.
        pairs: in the table; a seed counts if it has all of them.
        anomalies: which set of the table.
    """

    title: str
    pairs: tuple[str, ...]
    anomalies: str = "anomaly"

    @property
    def data(self) -> str:
        """`DIGITS` or `PHOTOS`."""
        return PHOTOS if self.pairs == PHOTO_PAIRS else DIGITS


TASKS = (
    Task("MNIST against FashionMNIST", ("mnist-fashion-mnist",)),
    Task("MNIST 1 to 9 against 0", ("digit-0",)),
    Task("MNIST against FashionMNIST, 20,000 images", ("small-mnist-fashion-mnist",)),
    Task("MNIST 1 to 9 against 0, 20,000 images", ("small-digit-0",)),
    Task("CIFAR-10 against its next part", PHOTO_PAIRS),
    Task("CIFAR-10 against its third part", PHOTO_PAIRS, "third"),
    Task("CIFAR-10 against FashionMNIST", PHOTO_PAIRS, "far"),
)


@dataclass(frozen=True)
class Effect:
    """The effect of center loss on the AUROC of one detector on one task.

    Attributes:
        task, detector: whose effect this is.
        features: `RAW` or `NORMALIZED`.
        changes: lambda above 0 -> AUROC there minus AUROC at lambda 0.
    """

    task: Task
    detector: str
    features: str
    changes: Mapping[float, Comparison]

    @property
    def raised(self) -> list[float]:
        """The lambdas where the interval of the change is above zero."""
        return [one for one, change in self.changes.items() if change.holds]

    @property
    def lowered(self) -> list[float]:
        """The lambdas where it is below zero."""
        return [one for one, change in self.changes.items() if is_below_zero(change)]

    @property
    def verdict(self) -> str:
        """The verdict of all intervals together."""
        if self.raised and self.lowered:
            return BOTH
        return RAISES if self.raised else LOWERS if self.lowered else OPEN


def is_below_zero(change: Comparison) -> bool:
    """Return whether all of the interval lies below zero."""
    return change.n > 1 and change.interval[1] < 0


def values(
    cells: pd.DataFrame, task: Task, detector: str, features: str, lambda_: float
) -> pd.Series:
    """Return the AUROC of each seed, averaged over the pairs of a task."""
    column = f"{detector}.{features}.{task.anomalies}"
    of_pairs = [by_seed(cells, pair, lambda_, column) for pair in task.pairs]
    return pd.concat(of_pairs, axis=1).mean(axis=1, skipna=False).dropna().sort_index()


def lambdas(cells: pd.DataFrame, task: Task) -> list[float]:
    """Return the lambdas of a task, the smallest first."""
    return sorted(cells.loc[cells["pair"].isin(task.pairs), "lambda"].unique())


def effects(cells: pd.DataFrame) -> Iterator[Effect]:
    """Yield the effect on each detector, on raw and on normalized features of each task."""
    for task in run_tasks(cells):
        positive = [one for one in lambdas(cells, task) if one > 0]
        for detector in DETECTORS:
            for features in (RAW, NORMALIZED):
                at_zero = values(cells, task, detector, features, 0.0)
                yield Effect(
                    task,
                    detector,
                    features,
                    {
                        one: Comparison.between(
                            f"lambda {one:g} less 0",
                            values(cells, task, detector, features, one),
                            at_zero,
                            looks=len(positive),
                        )
                        for one in positive
                    },
                )


def run_tasks(cells: pd.DataFrame) -> list[Task]:
    """Return the tasks whose pairs each have two or more seeds with lambda 0 and another lambda."""
    run = cells.groupby(["pair", "seed"])["lambda"].agg(
        lambda of_seed: 0 in set(of_seed) and len(set(of_seed)) > 1
    )
    counts = run.groupby("pair").sum()
    return [task for task in TASKS if all(counts.get(pair, 0) > 1 for pair in task.pairs)]


def normalization(cells: pd.DataFrame, task: Task, detector: str, lambda_: float) -> Comparison:
    """Return AUROC on normalized features minus AUROC on raw ones."""
    normalized, raw = (values(cells, task, detector, kind, lambda_) for kind in (NORMALIZED, RAW))
    return Comparison.between("normalized less raw", normalized, raw)


def interaction(cells: pd.DataFrame, task: Task, detector: str, lambda_: float) -> Comparison:
    """Return the change by center loss on normalized features minus that on raw ones."""
    normalized, raw = (
        values(cells, task, detector, kind, lambda_) - values(cells, task, detector, kind, 0.0)
        for kind in (NORMALIZED, RAW)
    )
    return Comparison.between("change on normalized less change on raw", normalized, raw)
