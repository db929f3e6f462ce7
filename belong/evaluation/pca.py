"""Project features on a plane, as in paper A (figure 6)."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd


class Plane(NamedTuple):
    """Points on the first two principal components.

    Attributes:
        points: one row per point: `kind` ("normal", "anomaly" or "centroid"), `class_name` (of a
            centroid, otherwise empty), `x`, `y`. Normal images and anomalies alternate, so that
            neither kind covers the other in a figure.
        shares: share of the variance of each component.
    """

    points: pd.DataFrame
    shares: tuple[float, float]


def plane(vectors: Mapping[str, np.ndarray], centroids: np.ndarray, names: list[str]) -> Plane:
    """Project features on their first two principal components.

    `vectors` is "normal", and "anomaly" if there are any -> features of test images (n, d); the
    centroids (c, d) are the mean features of the classes.
    """
    from sklearn.decomposition import PCA  # imported here: the figures do not need it

    both = np.concatenate(list(vectors.values()))
    # svd_solver is set, as "auto" uses random numbers for some shapes.
    pca = PCA(2, svd_solver="covariance_eigh").fit(both)
    when = [np.linspace(0, 1, len(points)) for points in vectors.values()]
    turn = np.argsort(np.concatenate(when), kind="stable")
    kinds = np.repeat(list(vectors), [len(points) for points in vectors.values()])[turn]
    x, y = np.concatenate((pca.transform(both[turn]), pca.transform(centroids))).T
    points = pd.DataFrame(
        {
            "kind": [*kinds, *["centroid"] * len(names)],
            "class_name": [*[""] * len(kinds), *names],
            "x": x,
            "y": y,
        }
    )
    first, second = pca.explained_variance_ratio_
    return Plane(points, (float(first), float(second)))


def thinned(points: pd.DataFrame, *, most: int) -> pd.DataFrame:
    """Keep every centroid and about `most` of the other points, evenly spread over the rows."""
    images = points[points["kind"] != "centroid"]
    # By the index within the kind, as the kinds alternate.
    place = images.groupby("kind").cumcount()
    selection = images[place % max(1, len(images) // most) == 0]
    return pd.concat((selection, points[points["kind"] == "centroid"]))
