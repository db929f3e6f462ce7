"""Fit one Gaussian per class to the features of the training images.

Reads   features   safetensors: `normal/train/features` (n, d), `normal/train/labels` (n,)
Writes  gaussians  safetensors: `means` (c, d), `whitening` (c, d, d), `thresholds` (c,)
"""

from pathlib import Path

import torch

from belong import device
from belong.artefacts import load_about, load_arrays, save_arrays
from belong.detectors import mahalanobis
from stages.params.fit_mahalanobis import Params
from stages.program import run


def main(params: Path, features: Path, gaussians: Path) -> None:
    """Fit and save."""
    values = Params.load(params)
    device.compute_repeatably(values.threads)
    given = load_arrays(features, "normal/train/features", "normal/train/labels")
    fitted = mahalanobis.fit(
        torch.from_numpy(given["normal/train/features"]),
        torch.from_numpy(given["normal/train/labels"]),
        load_about(features, "class_names")["class_names"],
        **values.mahalanobis.model_dump(),
    )
    save_arrays(gaussians, fitted.arrays())


if __name__ == "__main__":
    run(main)
