"""How strange each image is among the others: four methods side by side, and one order.

The methods are those of paper B, on what an autoencoder makes of the images: how badly it redraws
them, how far the k-th nearest other image is, how soon random cuts set an image apart, and the
pattern of its active nodes, of which the paper says no more than that. Here a node is active where
its value is above the mean of all nodes, and a pattern is as strange as it is far from the k-th
nearest other pattern.

Pixels go through the paper's autoencoder, which is trained on them. Vectors of a pretrained network
are features already: they are brought to length 1, distances and patterns are their own, and the
autoencoder is a linear one, whose best weights are the principal components (Baldi and Hornik,
Neural Networks and Principal Component Analysis, Neural Networks 1989), in a robust form.

The order goes by the median of the four surprises, minus the logarithm of the share of images that
are at least as strange: a single method that is blind in a folder does not spoil it.

docs/commands/find.md has what was measured on photos. There the paper's autoencoder does worse
than the linear one: of 10 foreign images it has 4.7 among the first 10 by its error on vectors, and
1.7 by that on pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.commands.fit.plan import STEPS
from belong.detectors import isolation_forest
from belong.detectors.knn_search import Neighbors
from belong.models import autoencoder as autoencoders
from belong.models.forward_pass import forward_pass
from belong.parameters import Parameters
from belong.runtime.parallel import parallel_map

IMAGES_OF_A_UNIT = 20  # at least, for each unit of the linear autoencoder that redraws
QUERIES = 1024  # whose neighbors are looked for in one go
BATCH = 1024  # images that pass through the autoencoder at once


@dataclass(frozen=True)
class Method:
    """The texts of a method.

    Attributes:
        heading: on the page.
        short: in a list.
        words: in a sentence.
    """

    heading: str
    short: str
    words: str


METHODS = {
    "reconstruction": Method(
        "Reconstruction error",
        "reconstruction",
        "The autoencoder reconstructs these images worst.",
    ),
    "knn": Method(
        "Distance to the nearest images",
        "neighbors",
        "These images are farthest from the k-th nearest other image.",
    ),
    "iforest": Method(
        "Isolation forest",
        "isolation",
        "Random cuts isolate these images with the fewest steps.",
    ),
    "active_nodes": Method(
        "Pattern of active nodes",
        "pattern",
        "The pattern of active nodes of these images is least similar to others.",
    ),
}


@dataclass(frozen=True)
class Strangeness:
    """The strangeness of each of m images; higher is stranger.

    Attributes:
        methods: name, one of `METHODS` -> scores (m,).
        combined: (m,) median surprise of the methods.
    """

    methods: dict[str, np.ndarray]
    combined: np.ndarray


def measure(
    content: np.ndarray, values: Parameters, *, last: int, device: torch.device, jobs: int | None
) -> Strangeness:
    """Measure how strange each image is among the others.

    Args:
        content: (m, ch, h, w) uint8 pixels, or (m, v) float32 vectors; m at least 3.
        values: `autoencoder` and `seed`, k of `detectors.code_knn`, trees of `code_iforest`.
        last: number of values at the end of a vector to compare: the network's last layer.
        device: to train on.
        jobs: threads; all processors if None.
    """
    options = values.detectors
    if content.ndim == 2:
        features = F.normalize(torch.from_numpy(content[:, -last:]), dim=1)
        codes, errors = linear_codes(features, units=values.autoencoder.units)
    else:
        codes, errors = coded(torch.from_numpy(content), values, device=device)
        features = codes
    active = features > features.mean()
    # The distance of two patterns then depends on the share of their active nodes that are common.
    patterns = F.normalize(active.float(), dim=1)
    k = min(options.code_knn.k, len(content) - 1)
    forest = isolation_forest.fit(codes, **options.code_iforest.model_dump(), seed=values.seed)
    groves = isolation_forest.groves_of(forest)
    methods = {
        "reconstruction": errors,
        "knn": distance_to_others(features, k=k, jobs=jobs),
        "iforest": -_in_parts(partial(isolation_forest.mean_depth, groves), codes, jobs),
        "active_nodes": distance_to_others(patterns, k=k, jobs=jobs),
    }
    scores = {name: score.double().numpy() for name, score in methods.items()}
    surprises = np.stack([surprise(score) for score in scores.values()])
    return Strangeness(scores, np.median(surprises, axis=0))


def surprise(scores: np.ndarray) -> np.ndarray:
    """Return minus the logarithm of the share of images that are at least as strange: (m,)."""
    at_least = len(scores) - np.searchsorted(np.sort(scores), scores, side="left")
    return np.asarray(-np.log(at_least / len(scores)))


def linear_codes(features: Tensor, *, units: int) -> tuple[Tensor, Tensor]:
    """Return codes and reconstruction errors of linear autoencoders: (m, d) -> (m, units), (m,).

    Codes are the principal components. Errors are residuals of spherical components, which use the
    directions from the median (Locantore et al., Robust principal component analysis for functional
    data, Test 1999): an outlier could otherwise determine an axis and be reconstructed without
    error. The number of components is limited by the number of images for the same reason.
    """
    x = features.double().numpy()
    centered = x - x.mean(axis=0)
    codes = centered @ _axes(centered, min(units, len(x) - 1))
    # An axis may point either way.
    codes *= np.sign(codes[np.abs(codes).argmax(axis=0), np.arange(codes.shape[1])])
    off = x - np.median(x, axis=0)
    lengths = np.linalg.norm(off, axis=1, keepdims=True)
    directions = np.divide(off, lengths, out=np.zeros_like(off), where=lengths > 0)
    redrawn = off @ _axes(directions, max(1, min(units, len(x) // IMAGES_OF_A_UNIT)))
    errors = ((off**2).sum(axis=1) - (redrawn**2).sum(axis=1)).clip(0) / x.shape[1]
    return torch.from_numpy(codes).float(), torch.from_numpy(errors)


def _axes(x: np.ndarray, count: int) -> np.ndarray:
    """Return the first principal axes of vectors around 0: (m, d) -> (d, up to `count`)."""
    _, axes = np.linalg.eigh(x.T @ x)
    return np.asarray(axes[:, ::-1][:, :count])


def coded(images: Tensor, values: Parameters, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Train the paper's autoencoder on images (m, ch, h, w) uint8; return codes and errors."""
    options = values.autoencoder
    m = len(images)
    batch_size = max(8, min(options.batch_size, m // 10))
    epochs = max(options.epochs, math.ceil(STEPS * batch_size / m))
    trained, _ = autoencoders.fit(
        images.to(device),
        generator=torch.Generator().manual_seed(values.seed),
        **options.model_dump() | {"batch_size": batch_size, "epochs": epochs},
    )
    codes, errors = forward_pass(
        trained.eval(), images, batch_size=BATCH, device=device, description=None
    )
    return codes, errors


def distance_to_others(vectors: Tensor, *, k: int, jobs: int | None) -> Tensor:
    """Return the distance of each vector to the k-th nearest other one: (m, d) -> (m,)."""
    neighbors = Neighbors(vectors)
    # The nearest of all is the vector itself, or its equal.
    return _in_parts(partial(neighbors.kth_distance, k=k + 1), vectors, jobs)


def _in_parts(work: Callable[[Tensor], Tensor], vectors: Tensor, jobs: int | None) -> Tensor:
    return torch.cat(list(parallel_map(work, vectors.split(QUERIES), jobs=jobs)))
