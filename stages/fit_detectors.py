"""Fit the detectors that learn from normal training images alone.

Reads   network    safetensors: `classifier.weight`, `classifier.bias`
        features   safetensors: the views of the training images and their labels
Writes  detectors  safetensors: `DETECTOR/ARRAY` of every detector
"""

from pathlib import Path

from belong.detectors.fit import PART, fit_detectors
from belong.models import device
from belong.models.activations import Views
from belong.parameters import Parameters
from belong.runtime.storage import load_about, load_arrays, save_arrays
from stages.runner import run


def main(params: Path, network: Path, features: Path, detectors: Path) -> None:
    """Fit one after the other, and save them all."""
    values = Parameters.load(params)
    device.compute_repeatably(values.threads)
    layer = load_arrays(network, "classifier.weight", "classifier.bias")
    arrays = fit_detectors(
        load_arrays(features, f"{PART}/labels", *Views.names(PART)),
        load_about(features, "class_names")["class_names"],
        weight=layer["classifier.weight"],
        bias=layer["classifier.bias"],
        options=values.detectors,
        seed=values.seed,
    )
    save_arrays(detectors, arrays)


if __name__ == "__main__":
    run(main)
