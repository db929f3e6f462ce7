"""Fit and score Mahalanobis distances to one Gaussian per class."""

from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import mahalanobis as scipy_distance
from sklearn.covariance import EmpiricalCovariance, ShrunkCovariance
from torch import Tensor

from belong.detectors.mahalanobis import ClassGaussians, fit
from benchmarks import matrix_rate
from benchmarks.agreement import relative
from benchmarks.contract import Growth, Peer, Race, Setting

CLASSES = 10
NAMES = [str(label) for label in range(CLASSES)]
RIDGE, QUANTILE = 0.001, 0.975
# The ridge adds RIDGE x mean variance to the diagonal: scikit-learn's shrinkage, but for a factor.
SHRINKAGE = RIDGE / (1 + RIDGE)


def features_of_classes(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Return n vectors (n, d) float32 of classes that differ in place and shape, and labels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % CLASSES
    features = torch.randn(n, d, generator=generator)
    for label in range(CLASSES):
        of_class = labels == label
        mix = torch.eye(d) + 0.3 / d**0.5 * torch.randn(d, d, generator=generator)
        features[of_class] = features[of_class] @ mix + torch.randn(d, generator=generator)
    return features, labels


def fitted(features: Tensor, labels: Tensor) -> ClassGaussians:
    """Fit ours, each class with its own covariance."""
    return fit(features, labels, NAMES, quantile=QUANTILE, ridge=RIDGE, covariance="per_class")


def scoring(setting: Setting, *, n: int, d: int, loop: int, part: float = 1.0) -> Race:
    """Distances of n images to each class, with the same Gaussians for all.

    Args:
        setting: of the run.
        n: images.
        d: features.
        loop: images that SciPy's loop does, and
        part: share of the images that scikit-learn does; their times are scaled.
    """
    n, d, loop = setting.size(n, 400), setting.size(d, 12), setting.size(loop, 40)
    features, labels = features_of_classes(n, d)
    gaussians = fitted(features, labels)
    roots = gaussians.whitening.double()
    precisions = (roots @ roots.transpose(1, 2)).numpy()
    means = gaussians.means.double().numpy()
    rows = features.numpy()

    def scipy_loop(_: int) -> np.ndarray:
        wide = rows[:loop].astype(np.float64)
        pairs = list(zip(means, precisions, strict=True))
        return np.array([[scipy_distance(x, mean, p) for mean, p in pairs] for x in wide])

    covariances = [EmpiricalCovariance() for _ in NAMES]
    for one, mean, precision in zip(covariances, means, precisions, strict=True):
        one.location_, one.precision_, one.n_features_in_ = mean, precision, d

    def scikit_learn(_: int) -> np.ndarray:
        part_of_rows = rows[: round(part * n)]
        squares = np.stack([one.mahalanobis(part_of_rows) for one in covariances], axis=1)
        distances: np.ndarray = np.sqrt(squares)
        return distances

    def pytorch_ood(_: int) -> np.ndarray:
        columns = [detector.predict_features(features) for detector in detectors]
        return (2 * torch.stack(columns, dim=1)).sqrt().numpy()  # its score is D^2 / 2

    peers = {
        "SciPy loop": Peer(scipy_loop, relative(1e-4), part=loop / n, bar=0.02),
        "scikit-learn": Peer(scikit_learn, relative(1e-4), part=part, bar=0.5),
        "pytorch-ood": Peer(pytorch_ood, relative(1e-4), bar=0.7, package="pytorch_ood"),
    }
    if peers["pytorch-ood"].is_here:
        detectors = _pytorch_ood_detectors(gaussians.means, torch.from_numpy(precisions).float())
    return Race(
        what=f"Mahalanobis score, n {n:,}, c {CLASSES}, d {d}",
        ours=lambda _: gaussians.distances(features).numpy(),
        peers=peers,
        limit=matrix_rate.limit(2 * n * CLASSES * d * d, bar=0.5),
    )


def _pytorch_ood_detectors(means: Tensor, precisions: Tensor) -> list[Any]:
    """Return a detector for each class: with several classes it has one covariance for all."""
    from pytorch_ood.detector import Mahalanobis

    detectors = []
    for mean, precision in zip(means, precisions, strict=True):
        detector = Mahalanobis(None)
        detector.mu, detector.precision = mean[None], precision
        detectors.append(detector)
    return detectors


def fitting(setting: Setting, *, n: int, d: int, part: float = 1.0) -> Race:
    """Mean, covariance with its inverse, and the threshold of each class.

    Args:
        setting: of the run.
        n: images.
        d: features.
        part: share of the classes that scikit-learn fits; its time is scaled.
    """
    n, d = setting.size(n, 400), setting.size(d, 12)
    features, labels = features_of_classes(n, d)
    by_class = [features[labels == label].numpy().astype(np.float64) for label in range(CLASSES)]

    def ours(_: int) -> np.ndarray:
        return fitted(features, labels).thresholds.numpy()

    def scikit_learn(_: int) -> np.ndarray:
        thresholds = []
        for x in by_class[: round(part * CLASSES)]:
            squares = ShrunkCovariance(shrinkage=SHRINKAGE).fit(x).mahalanobis(x)
            # Ours divides by n - 1 and does not scale the covariance down before the ridge.
            unbiased = (len(x) - 1) / len(x) / (1 + RIDGE)
            thresholds.append(np.quantile(np.sqrt(squares * unbiased), QUANTILE))
        return np.array(thresholds)

    return Race(
        what=f"Mahalanobis fit, n {n:,}, c {CLASSES}, d {d}",
        ours=ours,
        peers={"scikit-learn": Peer(scikit_learn, relative(1e-4), part=part)},
    )


def growth(setting: Setting) -> Growth:
    """Fitting as the features grow: covariances take n d^2, their inverses c d^3."""
    n = setting.size(10_000, 400)

    def work(d: int) -> Any:
        features, labels = features_of_classes(n, d)
        return lambda: fitted(features, labels)

    sizes = (6, 12, 24) if setting.quick else (84, 320, 1280)
    return Growth(f"Mahalanobis fit, n {n:,}, c {CLASSES}", "d", sizes, work)
