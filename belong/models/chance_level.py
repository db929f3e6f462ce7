"""Test whether predictions are better than guessing: a permutation test of the accuracy.

If the labels say nothing about the predictions, any other order of the labels is as likely. The
accuracy that one order in a hundred exceeds bounds what guessing reaches, also where the classes
have different sizes: a network that always names the largest class has its share as the bound.
"""

import numpy as np
import torch
from torch import Tensor

LEVEL = 0.01  # share of guessing networks that count as better than guessing, at most
ORDERS = 999  # of the labels
MOST = 2000  # images that are looked at, evenly spaced


def guessing_bound(predictions: Tensor, labels: Tensor) -> float:
    """Return the accuracy that guessing hardly exceeds, 0 to 1: (n,), (n,) int64 -> ().

    It is the quantile 1 - `LEVEL` of the accuracies of these predictions in other orders of the
    labels, and the same at each call.
    """
    guesses, truth = (_some(values).cpu().numpy() for values in (predictions, labels))
    rng = np.random.default_rng(0)
    orders = rng.permuted(np.tile(truth, (ORDERS, 1)), axis=1)
    return float(np.quantile((orders == guesses).mean(axis=1), 1 - LEVEL, method="higher"))


def is_at_chance(predictions: Tensor, labels: Tensor) -> bool:
    """Return whether n predictions are no better than guessing: (n,), (n,) int64 -> ().

    False where the images are so few, or so much of one class, that nothing could be told:
    flawless predictions would not be above the bound either.
    """
    if guessing_bound(labels, labels) >= 1:
        return False
    accuracy = (_some(predictions) == _some(labels)).double().mean().item()
    return accuracy <= guessing_bound(predictions, labels)


def evenly_spaced(n: int, most: int) -> Tensor:
    """Return at most `most` of the rows 0..n-1, evenly spaced: (min(n, most),) int64."""
    count = min(n, most)
    return torch.arange(count) * n // max(1, count)


def _some(values: Tensor) -> Tensor:
    return values[evenly_spaced(len(values), MOST).to(values.device)]
