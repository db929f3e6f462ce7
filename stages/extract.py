"""Pass every image through the network once.

Reads   network    safetensors: the trained classifier
        images     safetensors: `PART/images`, `PART/labels` of every part
Writes  features   safetensors: for each part `PART/features` (n, d) float32, the last hidden
                   layer, `PART/logits` (n, c) float32 and `PART/labels` (n,) int64
"""

from pathlib import Path

import torch

from belong import device
from belong.artefacts import load_about, load_arrays, save_arrays
from belong.extraction import extract
from belong.lenet import LeNet
from belong.parts import PARTS
from stages.params.computing import Params
from stages.program import run


def main(params: Path, network: Path, images: Path, features: Path) -> None:
    """Extract the features and logits of every part."""
    values = Params.load(params)
    device.compute_repeatably(values.threads)
    place = device.choose(values.device)
    about = load_about(network)
    lenet = LeNet.from_arrays(load_arrays(network), about["shape"]).to(place)
    arrays = {}
    for part in PARTS:
        given = load_arrays(images, f"{part}/images", f"{part}/labels")
        found, logits = extract(lenet, torch.from_numpy(given[f"{part}/images"]).to(place))
        arrays[f"{part}/features"] = found.cpu().numpy()
        arrays[f"{part}/logits"] = logits.cpu().numpy()
        arrays[f"{part}/labels"] = given[f"{part}/labels"]
    save_arrays(features, arrays, {"class_names": about["class_names"]})


if __name__ == "__main__":
    run(main)
