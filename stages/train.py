"""Train the classifier: cross entropy + lambda x center loss.

Reads   images    safetensors: `normal/train/*`, `normal/calibration/*` of the stage split
Writes  history   csv: one row per epoch: loss and its two parts, accuracy
        network   safetensors: the weights; about: the network's shape, the class names
"""

from pathlib import Path

import pandas as pd
import torch

from belong import device
from belong.artefacts import load_about, load_arrays, save_arrays, save_csv
from belong.lenet import LeNet
from belong.training import train_classifier
from stages.params.train import Params
from stages.program import run


def main(params: Path, images: Path, history: Path, network: Path) -> None:
    """Train, and save what came out."""
    values = Params.load(params)
    device.compute_repeatably(values.threads)
    place = device.choose(values.device)
    names = load_about(images, "class_names")["class_names"]
    arrays = load_arrays(
        images,
        "normal/train/images",
        "normal/train/labels",
        "normal/calibration/images",
        "normal/calibration/labels",
    )
    pixels, labels, held_out_pixels, held_out_labels = (
        torch.from_numpy(array).to(place) for array in arrays.values()
    )
    generator = torch.Generator().manual_seed(values.seed)
    _, channels, height, width = pixels.shape
    lenet = LeNet(classes=len(names), channels=channels, height=height, width=width)
    lenet.initialize(pixels.cpu(), generator)
    rows = train_classifier(
        lenet.to(place),
        pixels,
        labels,
        (held_out_pixels, held_out_labels),
        lambda_=values.lambda_,
        generator=generator,
        **values.train.model_dump(),
    )
    save_csv(history, pd.DataFrame(rows))
    save_arrays(network, lenet.arrays(), {"class_names": names, "shape": lenet.shape})


if __name__ == "__main__":
    run(main)
