"""Predict the class of every image out of fold, by a model that was fitted without the image.

The images are divided into folds, and a classifier is fitted to all folds but one: multinomial
logistic regression on the vectors of a frozen backbone, scaled to length 1, or else a small network
trained on the pixels. The regression takes seconds; a layer trained with center loss would take
minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from belong.calibration.cross_conformal import deal
from belong.commands.check.duplicates import units
from belong.models.base import Network
from belong.models.feature_extraction import layers_of
from belong.models.forward_pass import forward_pass
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.runtime.progress import bar

WATCHED = 256  # held-out images for the accuracy in the progress bar
# Inverse regularization strength. With the vectors of efficientnet_lite0, on rooms and on CIFAR-10,
# 1, 3 and 10 rank swapped labels equally well; 100 ranks them worse.
INVERSE_PENALTY = 3.0
ITERATIONS = 300  # maximum; a fit takes about 60


@dataclass(frozen=True)
class Fold:
    """One fold, with the features and predictions of a model fitted to the other folds.

    Attributes:
        known: (k,) int64, indices of the images of the other folds.
        unseen: (m,) int64, indices of the images of this fold.
        known_features: (k, d) float32, each of length 1.
        unseen_features: (m, d) float32, each of length 1.
        probabilities: (m, c) float32, of the images of this fold.
        planted: (p,) int64, indices of the foreign images planted in this fold.
        planted_features: (p, d) float32, each of length 1.
    """

    known: Tensor
    unseen: Tensor
    known_features: Tensor
    unseen_features: Tensor
    probabilities: Tensor
    planted: Tensor
    planted_features: Tensor


@dataclass(frozen=True)
class Images:
    """The images to be judged.

    Attributes:
        inputs: (n, ch, h, w) uint8 images, or (n, v) float32 vectors of a frozen backbone.
        labels: (n,) int64, 0..c-1, the labels of the folder; no class is empty.
        fold: (n,) int64, see `folds`.
        class_names: the names of the c classes.
        planted: (p, ...) planted foreign images, in the form of `inputs`.
        planted_fold: (p,) int64, the fold of each planted image.
    """

    inputs: Tensor
    labels: Tensor
    fold: Tensor
    class_names: Sequence[str]
    planted: Tensor
    planted_fold: Tensor


def folds(
    labels: np.ndarray, groups: np.ndarray, *, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Assign the images to folds, with each class spread evenly over the folds.

    Near duplicates share a fold: otherwise a copy would confirm the wrong label of its original. A
    group counts as one image, of the class of its first image.

    Args:
        labels: (n,) int64.
        groups: (n,) int64; images with the same number stay together, -1 is a lone image.
        count: number of folds.
        rng: random generator of the assignment.

    Returns:
        (n,) int64, 0..count-1.
    """
    first, unit = units(groups)
    return np.asarray(deal(labels[first], count=count, rng=rng)[unit])


def by_regression(images: Images, last: int) -> list[Fold]:
    """Fit a logistic regression without each fold.

    Args:
        images: vectors of a frozen backbone.
        last: d, the features of the backbone's last stage, at the end of each vector.
    """
    directions = F.normalize(images.inputs[:, -last:], dim=1)
    planted = F.normalize(images.planted[:, -last:], dim=1)
    results = []
    with bar(int(images.fold.max()) + 1, "judge", "fold") as progress:
        for one in _divide(images):
            train_vectors, unseen = directions[one.known], directions[one.unseen]
            results.append(
                replace(
                    one,
                    known_features=train_vectors,
                    unseen_features=unseen,
                    probabilities=regression(train_vectors, images.labels[one.known], unseen),
                    planted_features=planted[one.planted],
                )
            )
            progress.update()
    return results


def regression(train_vectors: Tensor, labels: Tensor, unseen: Tensor) -> Tensor:
    """Return the probabilities (m, c) float32 of the c classes.

    Args:
        train_vectors: (k, d) float32, each of length 1.
        labels: (k,) int64, 0..c-1; each class has images.
        unseen: (m, d) float32, each of length 1.
    """
    fitted = LogisticRegression(C=INVERSE_PENALTY, max_iter=ITERATIONS)
    fitted.fit(train_vectors.numpy(), labels.numpy())
    return torch.from_numpy(fitted.predict_proba(unseen.numpy()).astype(np.float32))


def by_networks(
    images: Images, *, network: str, training: TrainingOptions, seed: int, device: torch.device
) -> list[Fold]:
    """Train a network without each fold.

    Args:
        images: pixels, uint8.
        network: name in `belong.models.registry.NETWORKS`.
        training: the training options.
        seed: random seed of the weights and of the order of the images.
        device: the compute device.

    Raises:
        TrainingFailedError: a network has learned nothing.
    """
    results = []
    for number, one in enumerate(_divide(images)):
        watched = one.unseen[:WATCHED]
        trained, _ = fit_classifier(
            images.inputs[one.known],
            images.labels[one.known],
            (images.inputs[watched], images.labels[watched]),
            network=network,
            classes=len(images.class_names),
            options=training,
            generator=torch.Generator().manual_seed(seed + number),
            device=device,
            refuses_chance=False,
        )
        train_features, _ = _directions(trained, images.inputs[one.known], device)
        unseen, logits = _directions(trained, images.inputs[one.unseen], device)
        planted, _ = _directions(trained, images.planted[one.planted], device)
        results.append(
            replace(
                one,
                known_features=train_features,
                unseen_features=unseen,
                probabilities=logits.softmax(dim=1),
                planted_features=planted,
            )
        )
    return results


def in_order(folds: Sequence[Fold]) -> np.ndarray:
    """Return the probabilities (n, c) float32 of all images, in the order of the images."""
    rows = torch.cat([one.unseen for one in folds])
    return torch.cat([one.probabilities for one in folds])[rows.argsort()].numpy()


def _directions(network: Network, inputs: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return features (n, e + d) of the middle and last layers, of length 1, and logits (n, c).

    Two layers detect foreign images better than one: on 1,500 images of FashionMNIST with 30
    planted images of MNIST, the AUROC of the distance is 0.966, against 0.917 for the last layer.
    """
    network.eval()
    last, logits, middle, _ = forward_pass(
        lambda batch: layers_of(network, batch), inputs, batch_size=network.batch, device=device
    )
    return F.normalize(torch.cat((middle.flatten(1), last), dim=1), dim=1), logits


def _divide(images: Images) -> list[Fold]:
    """Return the rows of each fold; the features are empty."""
    none = torch.empty(0)
    return [
        Fold(
            known=torch.nonzero(images.fold != number).flatten(),
            unseen=torch.nonzero(images.fold == number).flatten(),
            known_features=none,
            unseen_features=none,
            probabilities=none,
            planted=torch.nonzero(images.planted_fold == number).flatten(),
            planted_features=none,
        )
        for number in images.fold.unique().tolist()
    ]
