"""Divide images into folds, so that each is judged by a network that has not seen it.

Images that are nearly the same come into one fold: a copy would vouch for its original, and for the
wrong label of it.
"""

import numpy as np


def folds(
    labels: np.ndarray, groups: np.ndarray, *, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the fold of each image, each class spread evenly over all of them.

    A group counts as one image, of the class of its first.

    Args:
        labels: (n,) int64.
        groups: (n,) int64; images with one number stay together, -1 is alone.
        count: of the folds.
        rng: draws them.

    Returns:
        (n,) int64, 0..count-1.
    """
    first, unit = units(groups)
    of_unit = labels[first]
    drawn = np.empty(len(first), np.int64)
    # In a random order the units of one class after the other are dealt out like cards.
    order = rng.permutation(len(first))
    order = order[np.argsort(of_unit[order], kind="stable")]
    drawn[order] = np.arange(len(first)) % count
    of_each: np.ndarray = drawn[unit]
    return of_each


def units(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of the first image of each group (m,), and the group of each image (n,).

    An image that is alone is a group too.
    """
    alone = groups < 0
    named = np.where(alone, groups.max(initial=-1) + np.cumsum(alone), groups)
    _, first, unit = np.unique(named, return_index=True, return_inverse=True)
    return first, unit
