"""Fit one Gaussian per class to the features of the training images.

Reads   features   safetensors: `normal/train/features` (n, d), `normal/train/labels` (n,)
Writes  gaussians  safetensors: `means` (c, d), `whitening` (c, d, k), `thresholds` (c,); about:
                   which `covariance` was fitted, and `why`
"""

from pathlib import Path

import torch

from belong.detectors import mahalanobis
from belong.detectors.covariance import choose
from belong.models import device
from belong.parameters import Parameters
from belong.runtime.storage import load_about, load_arrays, save_arrays
from belong.runtime.text import say
from stages.runner import run


def main(params: Path, features: Path, gaussians: Path) -> None:
    """Fit and save."""
    values = Parameters.load(params)
    device.compute_repeatably(values.threads)
    given = load_arrays(features, "normal/train/features", "normal/train/labels")
    vectors, labels = (torch.from_numpy(array) for array in given.values())
    fitted = mahalanobis.fit(
        vectors,
        labels,
        load_about(features, "class_names")["class_names"],
        **values.mahalanobis.model_dump(),
    )
    least = int(torch.bincount(labels).min())
    kind, why = choose(values.mahalanobis.covariance, least, vectors.shape[1])
    say(f"covariance {kind}: {why}")
    save_arrays(gaussians, fitted.arrays(), {"covariance": kind, "why": why})


if __name__ == "__main__":
    run(main)
