"""Train the classifier: cross entropy + lambda x center loss.

Reads   backbone  safetensors: the backbone, if there is one
        images    safetensors: `normal/train/*`, `normal/calibration/*` of the stage split
        embedded  safetensors: the vectors of the same parts, if the backbone is frozen
Writes  history   csv: one row per epoch: the loss and its two terms, the accuracy
        network   safetensors: the weights; about: the network's shape, the class names
"""

from pathlib import Path

import pandas as pd
import torch

from belong.models import device as devices
from belong.models.backbones.backbone import load_backbone
from belong.models.checkpoint import checkpoint_beside
from belong.models.network_choice import has_backbone, is_frozen, kind_of
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.parameters import Parameters
from belong.runtime.fingerprint import fingerprint
from belong.runtime.live_curves import live_curves
from belong.runtime.storage import load_about, load_arrays, save_arrays, save_csv
from belong.runtime.text import say
from stages.runner import run

# Parameters that the training depends on, which identify a checkpoint.
READ = {"seed", "lambda_", "network", "backbone", "device", "threads", "train"}
LIVE = Path("dvclive")  # not tracked by git
TRAIN, HELD_OUT = "normal/train", "normal/calibration"


def main(
    params: Path, backbone: Path, images: Path, embedded: Path, history: Path, network: Path
) -> None:
    """Train the classifier, and save it with its history."""
    values = Parameters.load(params)
    devices.compute_repeatably(values.threads, values.math)
    device = devices.choose(values.device)
    names = load_about(images, "class_names")["class_names"]
    is_embedded = is_frozen(values.network, values.backbone)
    file, kind = (embedded, "vectors") if is_embedded else (images, "images")
    arrays = load_arrays(file, f"{TRAIN}/{kind}", f"{HELD_OUT}/{kind}")
    arrays |= load_arrays(images, f"{TRAIN}/labels", f"{HELD_OUT}/labels")
    inputs, held_out_inputs, labels, held_out_labels = map(torch.from_numpy, arrays.values())
    key = fingerprint(values.model_dump(include=READ), device, backbone, images, embedded)
    with (
        checkpoint_beside(network, key, say) as checkpoint,
        live_curves(LIVE, resumes=checkpoint.epochs > 0) as checkpoint.watch,
    ):
        trained, rows = fit_classifier(
            inputs,
            labels,
            (held_out_inputs, held_out_labels),
            network=kind_of(values.network, values.backbone),
            classes=len(names),
            options=TrainingOptions(lambda_=values.lambda_, **values.train.model_dump()),
            generator=torch.Generator().manual_seed(values.seed),
            device=device,
            backbone=load_backbone(backbone) if has_backbone(values.network) else None,
            checkpoint=checkpoint,
        )
        save_csv(history, pd.DataFrame(rows))
        save_arrays(network, trained.arrays(), {"class_names": names, "shape": trained.shape})


if __name__ == "__main__":
    run(main)
