"""Train the autoencoder of paper B on the normal training images.

Reads   images       safetensors: `normal/train/images` of the stage split
Writes  history      csv: one row per epoch: the reconstruction error
        autoencoder  safetensors: the weights of both layers
"""

from pathlib import Path

import pandas as pd
import torch

from belong.models import autoencoder as autoencoders
from belong.models import device as devices
from belong.models.checkpoint import checkpoint_beside
from belong.parameters import Parameters
from belong.runtime.fingerprint import fingerprint
from belong.runtime.storage import load_arrays, save_arrays, save_csv
from belong.runtime.text import say
from stages.runner import run

TRAIN = "normal/train/images"


def main(params: Path, images: Path, history: Path, autoencoder: Path) -> None:
    """Train the autoencoder, and save it with its history."""
    values = Parameters.load(params)
    devices.compute_repeatably(values.threads, values.math)
    device = devices.choose(values.device)
    pixels = load_arrays(images, TRAIN)[TRAIN]
    key = fingerprint(
        values.model_dump(include={"seed", "device", "threads", "autoencoder"}), device, images
    )
    with checkpoint_beside(autoencoder, key, say) as checkpoint:
        fitted, rows = autoencoders.fit(
            torch.from_numpy(pixels).to(device),
            generator=torch.Generator().manual_seed(values.seed),
            checkpoint=checkpoint,
            **values.autoencoder.model_dump(),
        )
        save_csv(history, pd.DataFrame(rows))
        save_arrays(autoencoder, fitted.arrays())


if __name__ == "__main__":
    run(main)
