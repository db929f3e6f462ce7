"""Pass every image through the networks once.

Reads   network      safetensors: the trained classifier
        autoencoder  safetensors: the trained autoencoder
        images       safetensors: `PART/images`, `PART/labels` of every part
Writes  features     safetensors: for each part `PART/labels` (n,) int64 and the arrays of
                     `belong.views.Views`, `PART/features` (n, d) float32 and so on; of the
                     anomalies that train the supervised head, the features only
"""

from pathlib import Path

import numpy as np
import torch

from belong import device
from belong.artefacts import load_about, load_arrays, save_arrays
from belong.autoencoder import Autoencoder
from belong.extraction import extract
from belong.lenet import LeNet
from belong.parts import PARTS
from stages.params.computing import Params
from stages.program import run

HEAD = "anomaly/head"


def main(params: Path, network: Path, autoencoder: Path, images: Path, features: Path) -> None:
    """Extract the views of every part."""
    values = Params.load(params)
    device.compute_repeatably(values.threads)
    place = device.choose(values.device)
    about = load_about(network)
    lenet = LeNet.from_arrays(load_arrays(network), about["shape"]).to(place)
    coder = Autoencoder.from_arrays(load_arrays(autoencoder)).to(place)
    arrays: dict[str, np.ndarray] = {}
    for part in PARTS:
        given = load_arrays(images, f"{part}/images", f"{part}/labels")
        views = extract(lenet, coder, torch.from_numpy(given[f"{part}/images"]).to(place))
        kept = views.arrays(part)
        if part == HEAD:
            kept = {f"{HEAD}/features": kept[f"{HEAD}/features"]}
        arrays |= kept | {f"{part}/labels": given[f"{part}/labels"]}
    save_arrays(features, arrays, {"class_names": about["class_names"]})


if __name__ == "__main__":
    run(main)
