"""AUROC of each detector of the study on raw and on L2-normalized features."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.detectors import mahalanobis
from belong.detectors.base import Training
from belong.detectors.knn_search import Neighbors
from belong.detectors.mahalanobis_tied import TiedMahalanobis
from belong.detectors.relative_mahalanobis import RelativeMahalanobis
from belong.evaluation.metrics import roc_auc
from belong.models.activations import Views

CPU = torch.device("cpu")
K, QUANTILE, RIDGE = 50, 0.975, 0.001  # of params.yaml
RAW, NORMALIZED = "raw", "normalized"
DETECTORS = ("mahalanobis", "mahalanobis_tied", "relative_mahalanobis", "feature_knn")


class Auroc(NamedTuple):
    """One AUROC of one detector."""

    detector: str
    features: str
    anomalies: str
    value: float


def aurocs(
    train: Tensor,
    labels: Tensor,
    class_names: Sequence[str],
    normal: Tensor,
    anomalies: Mapping[str, Tensor],
    *,
    detectors: Sequence[str] = DETECTORS,
    ridge: float = RIDGE,
) -> Iterator[Auroc]:
    """Fit each detector to raw and to normalized features, and yield its AUROC on each set.

    Args:
        train: (n, d) features of the training images, with `labels` (n,) int64, 0..c-1.
        labels: see `train`.
        class_names: the c names, for messages.
        normal: (m, d) of normal images that nothing was fitted to.
        anomalies: name -> (m, d).
        detectors: of `DETECTORS`.
        ridge: of the covariances.
    """
    for kind in (RAW, NORMALIZED):
        fitted_to, of_normal, *others = (
            x if kind == RAW else F.normalize(x, dim=1)
            for x in (train, normal, *anomalies.values())
        )
        for detector in detectors:
            scores = _scores(
                detector, fitted_to, labels, list(class_names), [of_normal, *others], ridge=ridge
            )
            for name, of_set in zip(anomalies, scores[1:], strict=True):
                value = roc_auc(scores[0].numpy(), of_set.numpy())
                yield Auroc(detector, kind, name, value)


def _scores(
    detector: str,
    train: Tensor,
    labels: Tensor,
    names: list[str],
    parts: Sequence[Tensor],
    *,
    ridge: float,
) -> list[Tensor]:
    """Fit one detector to features (n, d), and score parts (m, d) -> (m,)."""
    if detector == "feature_knn":
        neighbors = Neighbors(train)
        return [neighbors.kth_distance(part, k=K) for part in parts]
    if detector == "mahalanobis":
        gaussians = mahalanobis.fit(
            train, labels, names, quantile=QUANTILE, ridge=ridge, covariance="auto"
        )
        return [gaussians.score(part) for part in parts]
    kind = TiedMahalanobis if detector == "mahalanobis_tied" else RelativeMahalanobis
    nothing = torch.empty(0)
    fitted = kind.fit(Training(_views(train), labels, names, nothing, nothing), ridge=ridge)
    return [fitted.score(_views(part)) for part in parts]


def _views(features: Tensor) -> Views:
    nothing = features.new_empty(len(features), 0)
    return Views(features, nothing, nothing, nothing, nothing, nothing)
