"""Fit one Gaussian per class to the features of the training images.

Reads   features   safetensors: `normal/train/features` (n, d), `normal/train/labels` (n,)
Writes  gaussians  safetensors: `means` (c, d), `whitening` (c, d, k), `thresholds` (c,); about:
                   the type of the fitted `covariance`, and the reason, `why`
"""

from pathlib import Path

from belong.detectors.fit import fit_gaussians
from belong.models import device
from belong.parameters import Parameters
from belong.runtime.storage import load_about, load_arrays, save_arrays
from stages.runner import run


def main(params: Path, features: Path, gaussians: Path) -> None:
    """Fit the Gaussians, and save them."""
    values = Parameters.load(params)
    device.compute_repeatably(values.threads, values.math)
    vectors, labels = load_arrays(features, "normal/train/features", "normal/train/labels").values()
    names = load_about(features, "class_names")["class_names"]
    arrays, about = fit_gaussians(vectors, labels, names, options=values.mahalanobis)
    save_arrays(gaussians, arrays, about)


if __name__ == "__main__":
    run(main)
