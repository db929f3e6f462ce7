"""Features that a failed training may leave."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from belong.runtime.storage import save_arrays
from tests.imports import ROOT
from tests.robustness.faults.fault import INPUT, OUTPUT, Fault

N, D = 60, 4


OF_EACH, OF_ALL = "a covariance for each class", "covariance for all classes"


def _fitted(change: Callable[[np.ndarray], object]) -> Callable[[Path, Path], list[str]]:
    """Return a function that fits Gaussians to features (n, d) changed in place."""

    def spoil(folder: Path, _model: Path) -> list[str]:
        features = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
        new_features = change(features)
        values = new_features if isinstance(new_features, np.ndarray) else features
        arrays = {"normal/train/features": values, "normal/train/labels": np.arange(N) % 2}
        save_arrays(folder / INPUT / "features", arrays, {"class_names": ["ant", "bee"]})
        params = ROOT / "tests" / "data" / "params.yaml"
        features_file = folder / INPUT / "features"
        return ["stages.fit_mahalanobis", f"{params}", f"{features_file}", f"{folder / OUTPUT}"]

    return spoil


def _nan(features: np.ndarray) -> None:
    features[7, 3] = np.nan


def _infinite(features: np.ndarray) -> None:
    features[7, 3] = -np.inf


def _constant(features: np.ndarray) -> None:
    features[:] = 1


FAULTS = [
    Fault("feature that is no number", _fitted(_nan), "training image 7 are not finite", 2),
    Fault("infinite feature", _fitted(_infinite), "training image 7 are not finite", 2),
    Fault("constant features", _fitted(_constant), "class ant", 2),
    Fault("features times 1e-6", _fitted(lambda x: x * np.float32(1e-6)), OF_EACH),
    Fault("features times 1e6", _fitted(lambda x: x * np.float32(1e6)), OF_EACH),
    Fault("rank-deficient features", _fitted(lambda x: np.c_[x, x[:, :1]]), OF_EACH),
    Fault(
        "fewer images than features", _fitted(lambda x: np.tile(x, (1, 20))), OF_ALL
    ),
]  # fmt: skip
