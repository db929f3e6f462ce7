"""Measure the acceptance rate of Gaussians that were fitted to few images.

Reads   features    safetensors: features and labels of the normal images, all three parts
Writes  acceptance  csv: share of accepted test images by images per feature, for the paper's
                    recipe and for ours
"""

from pathlib import Path

import numpy as np
import torch

from belong.evaluation.acceptance_study import acceptance as measure
from belong.models import device
from belong.parameters import Parameters
from belong.runtime.storage import load_about, load_arrays, save_csv
from stages.runner import run

PARTS = ("normal/train", "normal/calibration")


def main(params: Path, features: Path, acceptance: Path) -> None:
    """Fit the Gaussians, count the accepted images, and save the table."""
    values = Parameters.load(params)
    device.compute_repeatably(values.threads, values.math)
    names = [f"{part}/{name}" for part in PARTS for name in ("features", "labels")]
    arrays = load_arrays(features, *names, "normal/test/features")
    train, train_labels, held_out, held_out_labels, test = map(torch.from_numpy, arrays.values())
    table = measure(
        (train, train_labels),
        (held_out, held_out_labels),
        test,
        load_about(features, "class_names")["class_names"],
        quantile=values.mahalanobis.quantile,
        ridge=values.mahalanobis.ridge,
        alpha=values.calibration.alpha,
        rng=np.random.default_rng(values.seed),
        **values.study.model_dump(),
    )
    save_csv(acceptance, table)


if __name__ == "__main__":
    run(main)
