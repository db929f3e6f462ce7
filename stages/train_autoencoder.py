"""Train the autoencoder of paper B on the normal training images.

Reads   images       safetensors: `normal/train/images` of the stage split
Writes  history      csv: one row per epoch: the reconstruction error
        autoencoder  safetensors: the weights of both layers
"""

from pathlib import Path

import pandas as pd
import torch

from belong import autoencoder as autoencoders
from belong import device
from belong.artefacts import load_arrays, save_arrays, save_csv
from belong.checkpoint import checkpoint_beside
from belong.fingerprint import fingerprint
from stages.params.train_autoencoder import Params
from stages.program import run, say


def main(params: Path, images: Path, history: Path, autoencoder: Path) -> None:
    """Train and save."""
    values = Params.load(params)
    device.compute_repeatably(values.threads)
    place = device.choose(values.device)
    given = load_arrays(images, "normal/train/images")
    key = fingerprint(values.model_dump(), place, images)
    with checkpoint_beside(autoencoder, key, say) as checkpoint:
        fitted, rows = autoencoders.fit(
            torch.from_numpy(given["normal/train/images"]).to(place),
            generator=torch.Generator().manual_seed(values.seed),
            checkpoint=checkpoint,
            **values.autoencoder.model_dump(),
        )
        save_csv(history, pd.DataFrame(rows))
        save_arrays(autoencoder, fitted.arrays())


if __name__ == "__main__":
    run(main)
