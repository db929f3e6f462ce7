"""A working model without training: LeNet with random weights.

Its verdicts mean nothing; equal images have equal ones.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from belong.data.idx import read
from belong.models.lenet import FEATURES, LeNet
from belong.prediction.bundle import Bundle
from tests.imports import ROOT
from tests.small_bundle import a_bundle

CALIBRATION = 40


def save_untrained(folder: Path) -> Bundle:
    """Write the model; 39 of its 40 calibration images belong."""
    data = read(ROOT / "tests" / "data" / "mnist-small")
    images = data.images[:CALIBRATION]
    network = LeNet.for_images(torch.from_numpy(images), classes=2)
    network.initialize(torch.from_numpy(images), torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, logits = network(torch.from_numpy(images))
    energy = -logits.logsumexp(dim=1).numpy()
    gaussians = {
        "means": np.zeros((2, FEATURES), np.float32),
        "whitening": np.eye(FEATURES, dtype=np.float32)[None],
        "thresholds": np.ones(2, np.float32),
    }
    training = {
        "features": features.numpy(),
        "labels": np.zeros(CALIBRATION, np.int64),
        "thumbnails": images,
    }
    manifest = a_bundle().manifest.model_copy(
        update={
            "shape": network.shape,
            "n_calibration": CALIBRATION,
            "threshold": float(np.sort(energy)[-2]),
        }
    )
    arrays = {
        "network": network.arrays(),
        "detectors": {f"mahalanobis/{name}": array for name, array in gaussians.items()},
        "calibration": {"energy": energy},
        "training": training,
    }
    return replace(a_bundle(), manifest=manifest, arrays=arrays).save(folder)
