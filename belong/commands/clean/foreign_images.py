"""How far each image lies from every class: the distance to its nearest neighbors.

Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022,
https://arxiv.org/abs/2204.06507: the distance to the k-th nearest neighbor, on features of length
1. Here the neighbors are looked for in each class by itself, among the images of the other folds,
and twice. A folder that holds 40 foreign images of one kind holds 40 neighbors for each of them.
So the second time only trusted images are neighbors: of each class, not those whose label the
classifier doubts most, and not those farthest from their class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from belong.commands.clean.out_of_fold import Fold
from belong.detectors.knn_search import Neighbors

# Chosen on parts of CIFAR-10 and on rooms with bathrooms among them; 1 to 20 neighbors and 10 % to
# 30 % of doubted images hardly differ.
FIRST_NEIGHBORS, NEIGHBORS = 10, 5
DOUBTED, FARTHEST = 0.2, 0.1  # of each class


@dataclass(frozen=True)
class Distances:
    """The distances to the k-th nearest image of each class.

    Attributes:
        to_all: (n, c) float32, of the images to all others.
        to_class: (n, c) float32, of the images to the trusted ones.
        of_planted: (p,) float32, of the planted foreign images, to the nearest class.
    """

    to_all: np.ndarray
    to_class: np.ndarray
    of_planted: np.ndarray

    @property
    def to_nearest(self) -> np.ndarray:
        """(n,) float32."""
        return np.asarray(self.to_class.min(axis=1))


def distances(judged: Sequence[Fold], labels: Tensor, probabilities: np.ndarray) -> Distances:
    """Return how far n images and p planted ones are from c classes.

    Args:
        judged: the folds.
        labels: (n,) int64, 0..c-1.
        probabilities: (n, c) float32, out of fold.
    """
    n, classes = probabilities.shape
    here, given = np.arange(n), labels.numpy()
    everything = torch.ones(n, dtype=torch.bool)
    first = np.empty((n, classes), np.float32)
    for one in judged:
        first[one.unseen.numpy()] = _to_classes(
            one, one.unseen_features, labels, everything, classes=classes, k=FIRST_NEIGHBORS
        )
    is_trusted = ~_largest(-probabilities[here, given], given, DOUBTED)
    is_trusted &= ~_largest(first[here, given], given, FARTHEST)
    second = np.empty_like(first)
    planted = np.empty(sum(len(one.planted) for one in judged), np.float32)
    for one in judged:
        mask = torch.from_numpy(is_trusted)
        second[one.unseen.numpy()] = _to_classes(
            one, one.unseen_features, labels, mask, classes=classes, k=NEIGHBORS
        )
        planted[one.planted.numpy()] = _to_classes(
            one, one.planted_features, labels, mask, classes=classes, k=NEIGHBORS
        ).min(axis=1)
    return Distances(first, second, planted)


def _to_classes(
    fold: Fold, queries: Tensor, labels: Tensor, is_neighbor: Tensor, *, classes: int, k: int
) -> np.ndarray:
    """Return the distance (m, c) of queries (m, d) to the k-th image of each class.

    A class with fewer neighbors gives its farthest; one without any in the other folds gives all
    of its images there.
    """
    own = labels[fold.known]
    columns = []
    for label in range(classes):
        members = own == label
        chosen = members & is_neighbor[fold.known]
        reference = fold.known_features[chosen if bool(chosen.any()) else members]
        nearest = Neighbors(reference).kth_distance(queries, k=min(k, len(reference)))
        columns.append(nearest.numpy())
    return np.stack(columns, axis=1)


def _largest(values: np.ndarray, labels: np.ndarray, share: float) -> np.ndarray:
    """Return whether a value is above the quantile 1 - share of its class: (n,), (n,) -> (n,)."""
    limits = [np.quantile(values[labels == label], 1 - share) for label in range(labels.max() + 1)]
    return np.asarray(values > np.take(limits, labels))
