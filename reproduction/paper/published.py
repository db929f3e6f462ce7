"""Read the published numbers of paper A, and check their arithmetic.

Two facts follow from accuracy a, precision p and recall r: F1 must be 2pr / (p + r), and the share
of positives among the test images must be

    s = (1 - a) / (1 - r (2 - 1 / p)),

since a = s r + (1 - s) - s r (1 - p) / p: true positives plus negatives minus false positives.
"""

from collections.abc import Iterable

import pandas as pd

from belong.runtime.errors import InputError

# The pairs of the paper (normal, anomaly), and what the grid calls them.
PAIRS = {
    ("mnist", "fashion-mnist"): "mnist-fashion-mnist",
    ("mnist-1-9", "mnist-0"): "digit-0",
    ("imagenet30-a", "imagenet30-b"): "imagenet30-a",
    ("imagenet30-b", "imagenet30-c"): "imagenet30-b",
    ("imagenet30-c", "imagenet30-a"): "imagenet30-c",
}
TITLES = {
    "mnist-fashion-mnist": "MNIST against FashionMNIST",
    "digit-0": "MNIST 1 to 9 against 0",
    "imagenet30-a": "ImageNet-30 a against b",
    "imagenet30-b": "ImageNet-30 b against c",
    "imagenet30-c": "ImageNet-30 c against a",
}
COLUMNS = ("network", "normal", "anomaly", "detector", "lambda", "accuracy", "precision", "recall",
           "f1", "auroc")  # fmt: skip
# Four decimals: a printed number is off by up to half of the last one, and a number computed from
# printed ones by about as much again.
ROUNDING = 1.01e-4


def title(pair: str) -> str:
    """Return a pair's name in words; a pair that the paper lacks keeps its own."""
    return TITLES.get(pair, pair)


def in_order(pairs: Iterable[str]) -> list[str]:
    """Return pairs in the order of the paper, then all others by name."""
    known = list(TITLES)
    return sorted(
        pairs, key=lambda pair: (known.index(pair) if pair in known else len(known), pair)
    )


def checked(published: pd.DataFrame) -> pd.DataFrame:
    """Return the published rows with columns computed from their numbers.

    Args:
        published: the columns `COLUMNS`.

    Returns:
        The same rows and, new: `pair`; `f1_recomputed`; `exchanged`, whether precision and F1
        look exchanged; `share`, of positives, worked out with that exchange undone.

    Raises:
        InputError: a row is of no known pair.
    """
    pairs = list(zip(published["normal"], published["anomaly"], strict=True))
    for normal, anomaly in pairs:
        if (normal, anomaly) not in PAIRS:
            known = ", ".join(f"{one} / {other}" for one, other in PAIRS)
            raise InputError(
                f"a published row has the pair {normal} / {anomaly}; known are {known}"
            )
    recall, f1 = published["recall"], published["f1"]
    recomputed = harmonic_mean(published["precision"], recall)
    fits_exchanged = (harmonic_mean(f1, recall) - published["precision"]).abs() <= ROUNDING
    exchanged = ((recomputed - f1).abs() > ROUNDING) & fits_exchanged
    precision = published["precision"].where(~exchanged, f1)
    return published.assign(
        pair=[PAIRS[pair] for pair in pairs],
        f1_recomputed=recomputed,
        exchanged=exchanged,
        share=share_of_positives(published["accuracy"], precision, recall),
    )


def harmonic_mean(precision: pd.Series, recall: pd.Series) -> pd.Series:
    """Return the F1 that belongs to a precision and a recall."""
    return 2 * precision * recall / (precision + recall)


def share_of_positives(accuracy: pd.Series, precision: pd.Series, recall: pd.Series) -> pd.Series:
    """Return the share of positives that three numbers of one test set imply."""
    return (1 - accuracy) / (1 - recall * (2 - 1 / precision))
