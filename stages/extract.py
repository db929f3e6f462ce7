"""Pass every image through the networks once.

Reads   network      safetensors: the trained classifier
        autoencoder  safetensors: the trained autoencoder
        images       safetensors: `PART/images`, `PART/labels` of the parts that there are
        derived      safetensors: `PART/images` of the derived anomalies
        embedded     safetensors: `PART/vectors` of all of them, where the backbone is frozen
Writes  features     safetensors: for each part the arrays of `belong.models.activations.Views`,
                     `PART/features` (n, d) float32 and so on, and `PART/labels` (n,) int64 where
                     there are any; of the anomalies that train the supervised head, the
                     features only
"""

from pathlib import Path

import numpy as np
import torch

from belong.data.splits import PARTS
from belong.data.synthetic_anomalies import DERIVED
from belong.models import device
from belong.models.autoencoder import Autoencoder
from belong.models.feature_extraction import extract
from belong.models.frozen_backbone import FrozenEfficientNetB0
from belong.models.registry import NETWORKS
from belong.parameters import Parameters
from belong.runtime.storage import load_about, load_arrays, names_in, save_arrays
from stages.runner import run

HEAD = "anomaly/head"


def main(
    params: Path,
    network: Path,
    autoencoder: Path,
    images: Path,
    derived: Path,
    embedded: Path,
    features: Path,
) -> None:
    """Extract the views of every part."""
    values = Parameters.load(params)
    device.compute_repeatably(values.threads)
    place = device.choose(values.device)
    about = load_about(network, "shape", "class_names")
    built = FrozenEfficientNetB0 if values.is_frozen else NETWORKS[values.network]
    classifier = built.from_arrays(load_arrays(network), about["shape"]).to(place)
    coder = Autoencoder.from_arrays(load_arrays(autoencoder)).to(place)
    arrays: dict[str, np.ndarray] = {}
    parts = [part for part in PARTS if f"{part}/images" in names_in(images)]
    files = dict.fromkeys(parts, images) | {f"derived/{kind}": derived for kind in DERIVED}
    for part, file in files.items():
        pixels = torch.from_numpy(load_arrays(file, f"{part}/images")[f"{part}/images"])
        inputs = pixels
        if values.is_frozen:
            inputs = torch.from_numpy(load_arrays(embedded, f"{part}/vectors")[f"{part}/vectors"])
        kept = extract(classifier, coder, inputs, pixels, place=place).arrays(part)
        arrays |= {f"{HEAD}/features": kept[f"{HEAD}/features"]} if part == HEAD else kept
    arrays |= load_arrays(images, *(f"{part}/labels" for part in parts))
    save_arrays(features, arrays, {"class_names": about["class_names"]})


if __name__ == "__main__":
    run(main)
