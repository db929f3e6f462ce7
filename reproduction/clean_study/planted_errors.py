"""Spoil a data set on purpose, and count what a cleaning finds of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from belong.data.dataset import DataSet

# What is planted, and the problems by which it is named; "either" asks only whether it was seen.
KINDS = {
    "foreign": ("foreign",),
    "swapped": ("wrong_class",),
    "either": ("foreign", "wrong_class"),
}
LEVELS = {"quarantine": ("quarantine",), "or review": ("quarantine", "review")}


@dataclass(frozen=True)
class Planted:
    """A spoiled data set.

    Attributes:
        images: (n, ch, h, w) uint8.
        labels: (n,) int64, as they are given.
        truth: (n,) int64, as they should be; -1 of a foreign image.
        kind: (n,) str: "foreign", "swapped" or "".
    """

    images: np.ndarray
    labels: np.ndarray
    truth: np.ndarray
    kind: np.ndarray


def plant(
    data: DataSet, foreign: DataSet, *, images: int, share: float, rng: np.random.Generator
) -> Planted:
    """Draw training images, give some the label of another class, and add foreign ones.

    Args:
        data: the images that belong.
        foreign: of the same form.
        images: drawn from `data`.
        share: of them, so many have their label swapped, and as many foreign ones are added, each
            with a label drawn at random.
        rng: draws all.
    """
    c, count = len(data.class_names), round(share * images)
    own = rng.permutation(np.flatnonzero(~data.is_test))[:images]
    others = rng.permutation(np.flatnonzero(~foreign.is_test))[:count]
    truth = np.concatenate([data.labels[own], np.full(len(others), -1)])
    labels, kind = truth.copy(), np.full(len(truth), "", object)
    swapped = rng.permutation(images)[:count]
    labels[swapped] = (labels[swapped] + rng.integers(1, c, count)) % c
    labels[images:] = rng.integers(0, c, len(others))
    kind[swapped], kind[images:] = "swapped", "foreign"
    both = np.concatenate([data.images[own], foreign.images[others]])
    return Planted(both, labels, truth, kind)


def found(manifest: pd.DataFrame, kind: np.ndarray) -> Iterator[dict[str, object]]:
    """Yield for each kind and level how many images are named, and how many of these rightly.

    Args:
        manifest: see `belong.commands.clean.manifest`.
        kind: (n,) str, as in `Planted`, in its order.
    """
    for what, problems in KINDS.items():
        planted = kind != "" if what == "either" else kind == what
        for level, verdicts in LEVELS.items():
            named = manifest["problem"].isin(problems) & manifest["verdict"].isin(verdicts)
            right = int((named & planted).sum())
            yield {
                "planted": what,
                "verdict": level,
                "images": int(planted.sum()),
                "named": int(named.sum()),
                "right": right,
                "precision": right / max(1, int(named.sum())),
                "recall": right / max(1, int(planted.sum())),
            }
