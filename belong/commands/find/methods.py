"""Score how unusual each image is among the others, by four methods and their combination.

The methods are those of paper B. They use the codes of an autoencoder: the reconstruction error,
the distance to the k-th nearest other image, the depth in an isolation forest, and the pattern of
active nodes. The paper does not define the last method further. Here a node is active if its value
is above the mean of all nodes, and a pattern is scored by the distance to the k-th nearest other
pattern.

Pixels are encoded by the paper's autoencoder, which is trained on them. Embeddings of a pretrained
network are features already. They are scaled to length 1, and distances and patterns are computed
from them directly. Their autoencoder is linear; its optimal weights are the principal components
(Baldi and Hornik, Neural Networks and Principal Component Analysis, Neural Networks 1989), here in
a robust form.

A surprise is minus the logarithm of the share of images with at least the same score. For pixels,
the combined score is the median of the four surprises, which tolerates a method that fails in a
folder. For embeddings, it is the mean surprise of the two methods that compare an image with its
neighbors. The other two describe the folder as a whole, of which a group of similar foreign images
is a part: it has principal components and branches of its own (masking: Hadi, Identifying multiple
outliers in multivariate data, JRSS B 1992).

So that k or fewer similar images do not hide each other, k is a fifth of the images, between 5 and
20, the range that Breunig et al. recommend (LOF, SIGMOD 2000, section 6.2: from 10 or more, up to
the largest group of outliers).

docs/commands/find.md has results on photos. There the paper's autoencoder is worse than the linear
one: of 10 out-of-distribution images it ranks 4.7 among the first 10 by its error on embeddings,
and 1.7 by its error on pixels.
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

LEAST_NEIGHBORS, MOST_NEIGHBORS = 5, 20
LOCAL = ("knn", "active_nodes")  # the methods that compare an image with its neighbors
IMAGES_OF_A_UNIT = 20  # minimum number of images per unit of the linear autoencoder
QUERIES = 1024  # images per batch of a neighbor search
BATCH = 1024  # images per forward pass of the autoencoder


@dataclass(frozen=True)
class Method:
    """The texts of a method.

    Attributes:
        heading: title on the page.
        short: short name for lists.
        words: explanation in one sentence.
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
        "These images are isolated by the fewest random splits.",
    ),
    "active_nodes": Method(
        "Pattern of active nodes",
        "pattern",
        "The pattern of active nodes of these images is least similar to others.",
    ),
}


@dataclass(frozen=True)
class Strangeness:
    """The scores of m images; higher is more unusual.

    Attributes:
        methods: name, one of `METHODS` -> scores (m,).
        combined: (m,) how surprising these scores are together.
    """

    methods: dict[str, np.ndarray]
    combined: np.ndarray


def measure(
    content: np.ndarray,
    values: Parameters,
    *,
    last: int,
    device: torch.device,
    jobs: int | None,
    k: int | None = None,
) -> Strangeness:
    """Score how unusual each image is among the others.

    Args:
        content: (m, ch, h, w) uint8 pixels, or (m, v) float32 embeddings; m at least 3.
        values: `autoencoder`, `seed` and `detectors.code_iforest` are used.
        last: number of values of the network's last layer, at the end of each embedding; only
            these are compared.
        device: for the training.
        jobs: threads; all processors if None.
        k: the neighbor that counts; None: a fifth of the images, between 5 and 20.
    """
    m = len(content)
    is_embedded = content.ndim == 2
    if is_embedded:
        features = F.normalize(torch.from_numpy(content[:, -last:]), dim=1)
        codes, errors = linear_codes(features, units=values.autoencoder.units)
    else:
        codes, errors = train_autoencoder(torch.from_numpy(content), values, device=device)
        features = codes
    active = features > features.mean()
    # After this normalization, the distance of two patterns depends on the share of common active
    # nodes only.
    patterns = F.normalize(active.float(), dim=1)
    k = min(k or min(max(m // 5, LEAST_NEIGHBORS), MOST_NEIGHBORS), m - 1)
    iforest = values.detectors.code_iforest.model_dump()
    forest = isolation_forest.fit(codes, **iforest, seed=values.seed)
    groves = isolation_forest.groves_of(forest)
    methods = {
        "reconstruction": errors,
        "knn": distance_to_others(features, k=k, jobs=jobs),
        "iforest": -_in_parts(partial(isolation_forest.mean_depth, groves), codes, jobs),
        "active_nodes": distance_to_others(patterns, k=k, jobs=jobs),
    }
    scores = {name: score.double().numpy() for name, score in methods.items()}
    surprises = {name: surprise(score) for name, score in scores.items()}
    combined = (
        np.mean([surprises[name] for name in LOCAL], axis=0)
        if is_embedded
        else np.median(list(surprises.values()), axis=0)
    )
    return Strangeness(scores, combined)


def surprise(scores: np.ndarray) -> np.ndarray:
    """Return minus the logarithm of the share of images with at least the same score: (m,)."""
    at_least = len(scores) - np.searchsorted(np.sort(scores), scores, side="left")
    return np.asarray(-np.log(at_least / len(scores)))


def linear_codes(features: Tensor, *, units: int) -> tuple[Tensor, Tensor]:
    """Return codes and reconstruction errors of linear autoencoders: (m, d) -> (m, units), (m,).

    Codes are projections on the principal components. Errors are residuals of the spherical
    principal components, which use only the directions from the median (Locantore et al., Robust
    principal component analysis for functional data, Test 1999). Otherwise a single outlier could
    determine an axis and have no reconstruction error. For the same reason the number of images
    limits the number of components.
    """
    x = features.double().numpy()
    centered = x - x.mean(axis=0)
    codes = centered @ _axes(centered, min(units, len(x) - 1))
    # The sign of an axis is arbitrary; fix it.
    codes *= np.sign(codes[np.abs(codes).argmax(axis=0), np.arange(codes.shape[1])])
    deviations = x - np.median(x, axis=0)
    lengths = np.linalg.norm(deviations, axis=1, keepdims=True)
    directions = np.divide(deviations, lengths, out=np.zeros_like(deviations), where=lengths > 0)
    redrawn = deviations @ _axes(directions, max(1, min(units, len(x) // IMAGES_OF_A_UNIT)))
    errors = ((deviations**2).sum(axis=1) - (redrawn**2).sum(axis=1)).clip(0) / x.shape[1]
    return torch.from_numpy(codes).float(), torch.from_numpy(errors)


def _axes(x: np.ndarray, count: int) -> np.ndarray:
    """Return the first principal axes of centered vectors: (m, d) -> (d, up to `count`)."""
    _, axes = np.linalg.eigh(x.T @ x)
    return np.asarray(axes[:, ::-1][:, :count])


def train_autoencoder(
    images: Tensor, values: Parameters, *, device: torch.device
) -> tuple[Tensor, Tensor]:
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
    """Return the distance of each vector to the k-th nearest other vector: (m, d) -> (m,)."""
    neighbors = Neighbors(vectors)
    # The nearest neighbor is the vector itself, or an equal one.
    return _in_parts(partial(neighbors.kth_distance, k=k + 1), vectors, jobs)


def _in_parts(work: Callable[[Tensor], Tensor], vectors: Tensor, jobs: int | None) -> Tensor:
    return torch.cat(list(parallel_map(work, vectors.split(QUERIES), jobs=jobs)))
