"""Test whether predictions are better than guessing: a permutation test of the accuracy.

If labels and predictions are independent, all orders of the labels are equally likely. The accuracy
that one order in a hundred exceeds is an upper bound of guessing, also with classes of different
sizes: for a network that always predicts the largest class, the bound is the share of that class.
"""

import numpy as np
import torch
from torch import Tensor

LEVEL = 0.01  # significance level: maximum share of guessing networks that pass
ORDERS = 999  # number of random orders of the labels
MOST = 2000  # maximum number of images, evenly spaced


def guessing_bound(predictions: Tensor, labels: Tensor) -> float:
    """Return the accuracy that guessing rarely exceeds, 0 to 1: (n,), (n,) int64 -> ().

    The bound is the quantile 1 - `LEVEL` of the accuracies of the predictions with other orders of
    the labels. It is the same at each call.
    """
    guesses, truth = (_some(values).cpu().numpy() for values in (predictions, labels))
    rng = np.random.default_rng(0)
    orders = rng.permuted(np.tile(truth, (ORDERS, 1)), axis=1)
    return float(np.quantile((orders == guesses).mean(axis=1), 1 - LEVEL, method="higher"))


def is_at_chance(predictions: Tensor, labels: Tensor) -> bool:
    """Return whether n predictions are no better than guessing: (n,), (n,) int64 -> ().

    The result is False if there are too few images, or too few of all classes but one: even perfect
    predictions would not exceed the bound then.
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
