"""Measure how many fresh images Gaussians accept that were fitted to few.

Reads   features    safetensors: features and labels of normal images, all three parts
Writes  acceptance  csv: share of the test images that are accepted, by images per feature, for the
                    paper's recipe and for ours
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
    """Fit, count, write down."""
    values = Parameters.load(params)
    device.compute_repeatably(values.threads, values.math)
    names = [f"{part}/{name}" for part in PARTS for name in ("features", "labels")]
    given = load_arrays(features, *names, "normal/test/features")
    *known, test = (torch.from_numpy(array) for array in given.values())
    table = measure(
        (known[0], known[1]),
        (known[2], known[3]),
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
