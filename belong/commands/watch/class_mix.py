"""Test whether the predicted classes of new images have their usual shares.

The result raises no alarm, as another mix of classes violates no guarantee; it is a hint for
diagnosis. New images are compared with the calibration images, whose predicted classes a model of
`belong fit` contains, by a permutation test with the chi-square statistic. Its p-value is exact for
a single test, and not valid for repeated tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from belong.prediction.learning_data import NAME, PREDICTED
from belong.prediction.manifest import Manifest
from belong.runtime.errors import InputError
from belong.runtime.storage import load_arrays

DRAWS = 999


@dataclass(frozen=True)
class ClassMix:
    """How the shares of the predicted classes differ from those of the calibration images.

    Attributes:
        name: the class whose share differs most.
        share: share of the class among the new images.
        usual: share of the class among the calibration images.
        p_value: probability of a mix that differs as much by chance, for a single test.
    """

    name: str
    share: float
    usual: float
    p_value: float


def usual_classes(folder: Path, manifest: Manifest) -> np.ndarray | None:
    """Return the predicted classes (n,) of the calibration images; None if the model has none."""
    try:
        labels = load_arrays(folder / NAME, PREDICTED)[PREDICTED]
        return np.asarray(np.array(manifest.class_names, object)[labels])
    except (InputError, LookupError):
        return None


def class_mix(classes: Sequence[str], usual: np.ndarray, *, rng: np.random.Generator) -> ClassMix:
    """Compare the predicted classes of new images with those of the calibration images.

    Args:
        classes: m, of the new images.
        usual: (n,), of the calibration images.
        rng: draws the permutations.
    """
    pooled = np.concatenate([usual, np.asarray(classes, object)])
    names, both = np.unique(pooled, return_inverse=True)
    n, m = len(usual), len(classes)
    total = np.bincount(both, minlength=len(names))
    new = np.bincount(both[n:], minlength=len(names))
    permuted = rng.multivariate_hypergeometric(total, m, size=DRAWS, method="marginals")
    expected = total * m / (n + m)
    statistic, by_chance = (
        ((counts - expected) ** 2 / expected).sum(axis=-1) for counts in (new, permuted)
    )
    at_least = int((by_chance >= statistic - 1e-9).sum())
    shares, before = new / m, (total - new) / n
    most = int(np.abs(shares - before).argmax())
    p_value = (1 + at_least) / (1 + DRAWS)
    return ClassMix(str(names[most]), float(shares[most]), float(before[most]), p_value)
