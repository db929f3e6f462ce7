"""Fit the detectors that learn from normal training images alone.

Reads   network    safetensors: `classifier.weight`, `classifier.bias`
        features   safetensors: the views of the training images and their labels
Writes  detectors  safetensors: `DETECTOR/ARRAY` of every detector
"""

from pathlib import Path

import numpy as np
import torch

from belong.detectors.base import Training
from belong.detectors.covariance import choose
from belong.detectors.mahalanobis import OneLayer
from belong.detectors.registry import DETECTORS, stored_in
from belong.models import device
from belong.models.activations import Views
from belong.parameters import Parameters
from belong.runtime.progress import bar
from belong.runtime.storage import load_about, load_arrays, save_arrays
from belong.runtime.text import say
from stages.runner import run

PART = "normal/train"


def main(params: Path, network: Path, features: Path, detectors: Path) -> None:
    """Fit one after the other, and save them all."""
    values = Parameters.load(params)
    device.compute_repeatably(values.threads)
    layer = load_arrays(network, "classifier.weight", "classifier.bias")
    given = load_arrays(features, f"{PART}/labels", *Views.names(PART))
    training = Training(
        views=Views.from_arrays(given, PART),
        labels=torch.from_numpy(given[f"{PART}/labels"]),
        class_names=load_about(features, "class_names")["class_names"],
        weight=torch.from_numpy(layer["classifier.weight"]),
        bias=torch.from_numpy(layer["classifier.bias"]),
    )
    sections = values.detectors.model_dump()
    sections["code_iforest"]["seed"] = values.seed
    arrays: dict[str, np.ndarray] = {}
    names = stored_in("detectors")
    with bar(len(names), "fit detectors", "detector") as progress:
        for name in names:
            kind = DETECTORS[name]
            if issubclass(kind, OneLayer):
                n, d = training.least_of_a_class, getattr(training.views, kind.layer).shape[1]
                chosen, why = choose(sections[name]["covariance"], n, d)
                say(f"{name}: covariance {chosen}: {why}")
            fitted = kind.fit(training, **sections.get(name, {}))
            arrays |= {f"{name}/{key}": array for key, array in fitted.arrays().items()}
            progress.update()
    save_arrays(detectors, arrays)


if __name__ == "__main__":
    run(main)
