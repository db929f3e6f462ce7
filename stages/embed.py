"""Pass every image through the backbone once, where it is frozen.

Reads   backbone   safetensors: its weights
        images     safetensors: `PART/images` of every part
        derived    safetensors: `PART/images` of the derived anomalies
Writes  embedded   safetensors: `PART/vectors` (n, v) float32 of each part, of which train and
                   extract make the rest; no array where all of the network is trained
"""

from pathlib import Path

import numpy as np

from belong.parameters import Parameters
from belong.runtime.storage import load_arrays, names_in, save_arrays
from stages.runner import run


def main(params: Path, backbone: Path, images: Path, derived: Path, embedded: Path) -> None:
    """Embed each part, if there is something to embed them with."""
    values = Parameters.load(params)
    save_arrays(embedded, vectors(values, backbone, images, derived) if values.is_frozen else {})


def vectors(
    values: Parameters, weights: Path, images: Path, derived: Path
) -> dict[str, np.ndarray]:
    """Return the vectors of every part."""
    # Not at the top: they import torch (2 s), which an empty file does not need.
    import torch

    from belong.models import device
    from belong.models.efficientnet import Backbone
    from belong.models.feature_extraction import embed

    device.compute_repeatably(values.threads)
    place = device.choose(values.device)
    backbone = Backbone().loaded(load_arrays(weights))
    made: dict[str, np.ndarray] = {}
    for file in (images, derived):
        for name in names_in(file):
            part, _, kind = name.rpartition("/")
            if kind == "images":
                pixels = torch.from_numpy(load_arrays(file, name)[name])
                made[f"{part}/vectors"] = embed(backbone, pixels, place=place).numpy()
    return made


if __name__ == "__main__":
    run(main)
