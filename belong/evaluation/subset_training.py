"""Measure a learning curve above a frozen backbone, by cross-validation on its vectors.

3 x 450 photos take about 5 s of one processor.
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
SHARES = (0.125, 0.25, 0.5, 1.0)  # of the training images of a fold
LEAST_OF_CLASS = 2  # images
MOST_IMAGES = 3000
STEPS = 200  # of each training
MOST_GROUPS = 10  # of classes, each of which is left out once
MOST_NEIGHBORS, IMAGES_OF_NEIGHBOR = 10, 20  # as `belong fit` plans `hidden_knn`


def learning_curve(
    vectors: np.ndarray,
    labels: np.ndarray,
    *,
    classes: int,
    training: TrainingOptions,
    seed: int,
) -> LearningCurve | None:
    """Train the layer above a frozen backbone on ever more of the images, and measure on others.

    Args:
        vectors: (n, d) float32, the last vectors of the backbone, of the training images.
        labels: (n,) int64, 0..c-1.
        classes: c, at least 2.
        training: how the layer is trained, of which no more than STEPS are run.
        seed: divides the images, draws the weights.

    Returns:
        The curve; None if the images are too few for two points.
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
            known = order[folds[order] != fold]
            near = directions[unseen] @ directions[known].T
            for at, share in enumerate(shares):
                places = first_of_each_class(labels[known], share)
                rows = known[places]
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
    """Return the places of the first images of each class, a share of them but at least two."""
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        chosen.append(rows[: max(LEAST_OF_CLASS, round(share * len(rows)))])
    return np.sort(np.concatenate(chosen))


def _classified(
    known: Tensor,
    labels: Tensor,
    unseen: Tensor,
    classes: int,
    options: TrainingOptions,
    seed: int,
) -> np.ndarray:
    """Train on some vectors (n, d), and return the classes of others (m,)."""
    batch = max(8, min(options.batch_size, len(known) // 10))
    passes = max(1, STEPS // -(-len(known) // batch))
    subset_options = options.model_copy(
        update={
            "batch_size": batch,
            "epochs": passes,
            "learning_rate": options.learning_rate * min(1, batch / options.batch_size),
        }
    )
    generator = torch.Generator().manual_seed(seed)
    network = FrozenBackbone(
        classes=classes, embedding=subset_options.embedding, early=0, middle=0, last=known.shape[1]
    )
    network.initialize(known, generator)
    with suppress(TrainingFailedError):  # so few images that it learns nothing: as it is then
        train_classifier(
            network,
            known,
            labels,
            (known[:1], labels[:1]),  # measured after each pass, and of no use here
            options=subset_options,
            generator=generator,
            description=None,
        )
    return predict(network, unseen)[1].numpy()


def _aurocs(near: Tensor, known: np.ndarray, unseen: np.ndarray, classes: int) -> list[float]:
    """Return the AUROC of each group of classes left out, by the k-th nearest image.

    `near` (m, n) is how near the images held out, of classes `unseen` (m,), are to the training
    images, of classes `known` (n,).
    """
    values = []
    for group in np.array_split(np.arange(classes), min(classes, MOST_GROUPS)):
        columns = torch.from_numpy(~np.isin(known, group))
        is_anomaly = np.isin(unseen, group)
        if is_anomaly.any() and not is_anomaly.all():
            rest = near[:, columns]
            k = max(1, min(MOST_NEIGHBORS, rest.shape[1] // IMAGES_OF_NEIGHBOR))
            scores = -rest.topk(k, dim=1).values[:, -1].numpy()
            values.append(auroc_with_error(scores[~is_anomaly], scores[is_anomaly])[0])
    return values
