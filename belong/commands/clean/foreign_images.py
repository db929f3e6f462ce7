"""Compute the distance of each image to every class, for the detection of foreign images.

Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022,
https://arxiv.org/abs/2204.06507: the distance to the k-th nearest neighbor, on features of length
1. Here the neighbors are searched in each class separately, among the images of the other folds, in
two passes. Similar foreign images are near neighbors of each other, so a folder with 40 of one kind
would hide them all. The second pass therefore searches among trusted images only: it excludes, in
each class, the images with the most doubtful labels and the images farthest from their class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from belong.commands.clean.out_of_fold import Fold
from belong.detectors.knn_search import Neighbors

# Chosen on parts of CIFAR-10 and on photos of rooms with planted bathrooms. 1 to 20 neighbors, and
# 10% to 30% of excluded images, give nearly the same results.
FIRST_NEIGHBORS, NEIGHBORS = 10, 5
DOUBTED, FARTHEST = 0.2, 0.1  # excluded shares of each class


@dataclass(frozen=True)
class Distances:
    """The distances to the k-th nearest image of each class.

    Attributes:
        to_all: (n, c) float32, of each image to all images of a class.
        to_class: (n, c) float32, of each image to the trusted images of a class.
        of_planted: (p,) float32, of the planted foreign images to the nearest class.
    """

    to_all: np.ndarray
    to_class: np.ndarray
    of_planted: np.ndarray

    @property
    def to_nearest(self) -> np.ndarray:
        """The distance to the nearest class, (n,) float32."""
        return np.asarray(self.to_class.min(axis=1))


def distances(folds: Sequence[Fold], labels: Tensor, probabilities: np.ndarray) -> Distances:
    """Return the distances of n images and p planted foreign images to c classes.

    Args:
        folds: the folds.
        labels: (n,) int64, 0..c-1.
        probabilities: (n, c) float32, out of fold.
    """
    n, classes = probabilities.shape
    rows, classes_of = np.arange(n), labels.numpy()
    everything = torch.ones(n, dtype=torch.bool)
    first = np.empty((n, classes), np.float32)
    for one in folds:
        first[one.unseen.numpy()] = _to_classes(
            one, one.unseen_features, labels, everything, classes=classes, k=FIRST_NEIGHBORS
        )
    is_trusted = ~_largest(-probabilities[rows, classes_of], classes_of, DOUBTED)
    is_trusted &= ~_largest(first[rows, classes_of], classes_of, FARTHEST)
    second = np.empty_like(first)
    planted = np.empty(sum(len(one.planted) for one in folds), np.float32)
    for one in folds:
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

    In a class with fewer than k neighbors, the farthest one counts. In a class without a trusted
    image in the other folds, all its images there are neighbors.
    """
    known_labels = labels[fold.known]
    columns = []
    for label in range(classes):
        members = known_labels == label
        trusted = members & is_neighbor[fold.known]
        reference = fold.known_features[trusted if bool(trusted.any()) else members]
        nearest = Neighbors(reference).kth_distance(queries, k=min(k, len(reference)))
        columns.append(nearest.numpy())
    return np.stack(columns, axis=1)


def _largest(values: np.ndarray, labels: np.ndarray, share: float) -> np.ndarray:
    """Return whether each value exceeds the quantile 1 - share of its class: (n,), (n,) -> (n,)."""
    limits = [np.quantile(values[labels == label], 1 - share) for label in range(labels.max() + 1)]
    return np.asarray(values > np.take(limits, labels))
