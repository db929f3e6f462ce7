"""Train the classifier: cross entropy + lambda x center loss.

Reads   backbone  safetensors: the weights to start from, if there are any
        images    safetensors: `normal/train/*`, `normal/calibration/*` of the stage split
        embedded  safetensors: the vectors of the same parts, where the backbone is frozen
Writes  history   csv: one row per epoch: loss and its two parts, accuracy
        network   safetensors: the weights; about: the network's shape, the class names
"""

from pathlib import Path

import pandas as pd
import torch

from belong.models import device
from belong.models.base import Network
from belong.models.checkpoint import checkpoint_beside
from belong.models.efficientnet import EfficientNetB0
from belong.models.frozen_backbone import FrozenEfficientNetB0
from belong.models.registry import NETWORKS
from belong.models.train_classifier import train_classifier
from belong.parameters import Parameters
from belong.runtime.fingerprint import fingerprint
from belong.runtime.storage import load_about, load_arrays, save_arrays, save_csv
from belong.runtime.text import say
from stages.runner import run

# What the training depends on of the parameters: a checkpoint is of these.
READ = {"seed", "lambda_", "network", "efficientnet", "device", "threads", "train"}
TRAIN, HELD_OUT = "normal/train", "normal/calibration"


def main(
    params: Path, backbone: Path, images: Path, embedded: Path, history: Path, network: Path
) -> None:
    """Train, and save what came out."""
    values = Parameters.load(params)
    device.compute_repeatably(values.threads)
    place = device.choose(values.device)
    names = load_about(images, "class_names")["class_names"]
    file, kind = (embedded, "vectors") if values.is_frozen else (images, "images")
    given = load_arrays(file, f"{TRAIN}/{kind}", f"{HELD_OUT}/{kind}")
    given |= load_arrays(images, f"{TRAIN}/labels", f"{HELD_OUT}/labels")
    inputs, held_out_inputs, labels, held_out_labels = map(torch.from_numpy, given.values())
    generator = torch.Generator().manual_seed(values.seed)
    trained = untrained(values, inputs, len(names))
    trained.initialize(inputs, generator)
    start = load_arrays(backbone)
    if isinstance(trained, EfficientNetB0) and start:
        trained.start_from(start)
    key = fingerprint(values.model_dump(include=READ), place, backbone, images, embedded)
    with checkpoint_beside(network, key, say) as checkpoint:
        rows = train_classifier(
            trained.to(place),
            inputs.to(place),
            labels.to(place),
            (held_out_inputs.to(place), held_out_labels.to(place)),
            lambda_=values.lambda_,
            generator=generator,
            checkpoint=checkpoint,
            **values.train.model_dump(exclude={"embedding"}),
        )
        save_csv(history, pd.DataFrame(rows))
        save_arrays(network, trained.arrays(), {"class_names": names, "shape": trained.shape})


def untrained(values: Parameters, inputs: torch.Tensor, classes: int) -> Network:
    """Build the network for these inputs."""
    if values.is_frozen:
        return FrozenEfficientNetB0(classes=classes, embedding=values.train.embedding)
    return NETWORKS[values.network].for_images(inputs, classes=classes)


if __name__ == "__main__":
    run(main)
