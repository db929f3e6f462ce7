"""Compute the output of a frozen backbone for every image, once.

Reads   backbone   safetensors: the weights of the backbone; about: its card
        images     safetensors: `PART/images` of every part
        derived    safetensors: `PART/images` of the derived anomalies
        further    safetensors: `PART/images` of further sets of anomalies
Writes  embedded   safetensors: `PART/vectors` (n, v) float32 of each part, the input of train and
                   extract; no arrays if the whole network is trained
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from belong.models.network_choice import is_frozen
from belong.parameters import Parameters
from belong.runtime.storage import load_arrays, names_in, save_arrays
from stages.runner import run


def main(
    params: Path, backbone: Path, images: Path, derived: Path, further: Path, embedded: Path
) -> None:
    """Embed each part, if the backbone is frozen."""
    values = Parameters.load(params)
    vectors: dict[str, np.ndarray] = {}
    if is_frozen(values.network, values.backbone):
        # Imported here: torch takes 2 s, and an empty file does not need it.
        from belong.models import device as devices
        from belong.models.backbones.backbone import load_backbone
        from belong.models.feature_extraction import embed_parts

        devices.compute_repeatably(values.threads, values.math)
        device = devices.choose(values.device)
        parts = parts_in(images, derived, further)
        vectors = embed_parts(load_backbone(backbone), parts, device=device)
    save_arrays(embedded, vectors)


def parts_in(*files: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the images of each part."""
    for file in files:
        for name in names_in(file):
            part, _, kind = name.rpartition("/")
            if kind == "images":
                yield part, load_arrays(file, name)[name]


if __name__ == "__main__":
    run(main)
