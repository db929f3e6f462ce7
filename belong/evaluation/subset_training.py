"""Measure a learning curve above a frozen backbone, by cross-validation on its embeddings.

3 x 450 photos take about 5 s on one processor.
"""

from contextlib import suppress

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.calibration.cross_conformal import deal
from belong.detectors.member_selection import auroc_with_error
from belong.evaluation.learning_curve import LearningCurve, LearningPoint
from belong.models.backbones.networks import FrozenBackbone
from belong.models.learning_check import predict
from belong.models.train_classifier import TrainingOptions, train_classifier
from belong.models.training_loop import TrainingFailedError
from belong.runtime.progress import bar

FOLDS = 4
SHARES = (0.125, 0.25, 0.5, 1.0)  # shares of the training images of a fold
LEAST_OF_CLASS = 2  # minimum number of images per class
MOST_IMAGES = 3000
STEPS = 200  # maximum number of steps per training
MOST_GROUPS = 10  # maximum number of groups of classes, each left out once
MOST_NEIGHBORS, IMAGES_OF_NEIGHBOR = 10, 20  # k of `hidden_knn`, as in `belong fit`


def learning_curve(
    vectors: np.ndarray,
    labels: np.ndarray,
    *,
    classes: int,
    training: TrainingOptions,
    seed: int,
) -> LearningCurve | None:
    """Train the layer above a frozen backbone on growing subsets, and measure on other images.

    Args:
        vectors: (n, d) float32, embeddings of the training images.
        labels: (n,) int64, 0..c-1.
        classes: c, at least 2.
        training: the training options; at most STEPS steps are run.
        seed: random seed of the folds and the weights.

    Returns:
        The curve; None if there are too few images for two points.
    """
    rng = np.random.default_rng([seed, 6])
    of_class = np.bincount(labels, minlength=classes).mean()
    if len(labels) > MOST_IMAGES:
        subset = deal(labels, count=-(-len(labels) // MOST_IMAGES), rng=rng) == 0
        vectors, labels = vectors[subset], labels[subset]
    smallest = int(np.bincount(labels, minlength=classes).min())
    shares = [share for share in SHARES if share * smallest * (1 - 1 / FOLDS) >= LEAST_OF_CLASS]
    if len(shares) < 2:
        return None
    folds = deal(labels, count=FOLDS, rng=rng)
    order = rng.permutation(len(labels))
    x, y = torch.from_numpy(vectors), torch.from_numpy(labels)
    directions = F.normalize(x, dim=1)
    hits, sizes = np.zeros(len(shares)), np.zeros(len(shares))
    aurocs: list[list[float]] = [[] for _ in shares]
    with bar(FOLDS * len(shares), "learning curve", "training") as progress:
        for fold in range(FOLDS):
            unseen = np.flatnonzero(folds == fold)
            train_rows = order[folds[order] != fold]
            near = directions[unseen] @ directions[train_rows].T
            for at, share in enumerate(shares):
                places = first_of_each_class(labels[train_rows], share)
                rows = train_rows[places]
                sizes[at] += len(rows) / classes / FOLDS
                guessed = _classified(x[rows], y[rows], x[unseen], classes, training, seed)
                hits[at] += (guessed == labels[unseen]).sum()
                aurocs[at] += _aurocs(near[:, places], labels[rows], labels[unseen], classes)
                progress.update()
    points = [
        LearningPoint(
            images=round(float(size), 1),
            accuracy=round(float(hit / len(labels)), 4),
            auroc=round(float(np.mean(auroc)), 4),
        )
        for size, hit, auroc in zip(sizes, hits, aurocs, strict=True)
    ]
    return LearningCurve.through(points, images=float(of_class), held_out=len(labels))


def first_of_each_class(labels: np.ndarray, share: float) -> np.ndarray:
    """Return the indices of the first images of each class: a share, and at least two."""
    selection = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        selection.append(rows[: max(LEAST_OF_CLASS, round(share * len(rows)))])
    return np.sort(np.concatenate(selection))


def _classified(
    train_vectors: Tensor,
    labels: Tensor,
    unseen: Tensor,
    classes: int,
    options: TrainingOptions,
    seed: int,
) -> np.ndarray:
    """Train on embeddings (n, d), and return the predicted classes of others (m,)."""
    batch = max(8, min(options.batch_size, len(train_vectors) // 10))
    passes = max(1, STEPS // -(-len(train_vectors) // batch))
    subset_options = options.model_copy(
        update={
            "batch_size": batch,
            "epochs": passes,
            "learning_rate": options.learning_rate * min(1, batch / options.batch_size),
        }
    )
    generator = torch.Generator().manual_seed(seed)
    network = FrozenBackbone(
        classes=classes,
        embedding=subset_options.embedding,
        early=0,
        middle=0,
        last=train_vectors.shape[1],
    )
    network.initialize(train_vectors, generator)
    with suppress(TrainingFailedError):  # with very few images, use the network without training
        train_classifier(
            network,
            train_vectors,
            labels,
            (train_vectors[:1], labels[:1]),  # validation images, which are not used here
            options=subset_options,
            generator=generator,
            description=None,
        )
    return predict(network, unseen)[1].numpy()


def _aurocs(
    near: Tensor, train_labels: np.ndarray, unseen: np.ndarray, classes: int
) -> list[float]:
    """Return the AUROC of each group of classes left out, by the k-th nearest image.

    `near` (m, n) are the similarities of held-out images of classes `unseen` (m,) to training
    images of classes `train_labels` (n,).
    """
    values = []
    for group in np.array_split(np.arange(classes), min(classes, MOST_GROUPS)):
        columns = torch.from_numpy(~np.isin(train_labels, group))
        is_anomaly = np.isin(unseen, group)
        if is_anomaly.any() and not is_anomaly.all():
            similarities = near[:, columns]
            k = max(1, min(MOST_NEIGHBORS, similarities.shape[1] // IMAGES_OF_NEIGHBOR))
            scores = -similarities.topk(k, dim=1).values[:, -1].numpy()
            values.append(auroc_with_error(scores[~is_anomaly], scores[is_anomaly])[0])
    return values
