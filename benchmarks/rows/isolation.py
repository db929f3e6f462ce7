"""Fit and score an isolation forest of 2000 trees, as in paper B."""

from typing import Any

import numpy as np
import torch
from sklearn.ensemble import IsolationForest

from belong.detectors import isolation_forest
from benchmarks.agreement import order
from benchmarks.contract import Peer, Race, Setting
from benchmarks.rows.mahalanobis import features_of_classes

SAMPLE = 256
# Trees are random: this is the difference between the ranks of two forests of 2000 trees.
TOLERANCE, TINY_TOLERANCE = 0.02, 0.3


def fit_and_score(setting: Setting, *, n: int, d: int, trees: int) -> Race:
    """Grow the trees on n vectors, and score these."""
    n, trees = setting.size(n, 600), setting.size(trees, 60)
    vectors, _ = features_of_classes(n, d)
    # Some lie far out, some near: else all ranks would be chance.
    vectors *= torch.linspace(0.2, 3, n)[:, None]
    x = vectors.numpy()
    check = order(TINY_TOLERANCE if setting.quick else TOLERANCE)

    def ours(number: int) -> np.ndarray:
        forest = isolation_forest.fit(vectors, trees=trees, sample=SAMPLE, seed=number)
        groves = isolation_forest.groves_of(forest)
        return -isolation_forest.mean_depth(groves, vectors).numpy()

    def scikit_learn(number: int) -> Any:
        forest = IsolationForest(
            n_estimators=trees, max_samples=SAMPLE, n_jobs=setting.threads, random_state=number
        )
        return -forest.fit(x).score_samples(x)

    def pyod(number: int) -> Any:
        from pyod.models.iforest import IForest

        # Its `fit` scores the vectors that it is given.
        model = IForest(
            n_estimators=trees, max_samples=SAMPLE, n_jobs=setting.threads, random_state=number
        )
        return model.fit(x).decision_scores_

    def coniferest(number: int) -> Any:
        from coniferest.isoforest import IsolationForest as Coniferous

        forest = Coniferous(
            n_trees=trees, n_subsamples=SAMPLE, n_jobs=setting.threads, random_seed=number
        )
        return -forest.fit(x).score_samples(x)

    return Race(
        what=f"isolation forest, {trees:,} trees, {n:,} x {d}, fit and score",
        ours=ours,
        peers={
            "scikit-learn": Peer(scikit_learn, check, bar=1.0),
            "pyod": Peer(pyod, check, bar=1.0, package="pyod"),
            "coniferest": Peer(coniferest, check, bar=1.0, package="coniferest"),
        },
    )
