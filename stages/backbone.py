"""Get the backbone that the network stands on.

Writes  backbone   safetensors: all weights but the classifier's, under timm's names;
                   about: the card. No array where the network has no backbone, as LeNet
"""

from pathlib import Path

import numpy as np

from belong.parameters import Parameters
from belong.runtime.storage import save_arrays
from stages.runner import run


def main(params: Path, backbone: Path) -> None:
    """Find, download or read the weights, check, and save."""
    values = Parameters.load(params)
    arrays: dict[str, np.ndarray] = {}
    card = None
    if values.has_backbone:
        # Not at the top: it imports torch and timm (3 s), which nothing else here needs.
        from belong.models.backbones.catalog import backbone_named

        found = backbone_named(values.network, values.backbone.weights)
        found.in_dtype(values.backbone.dtype)
        arrays, card = found.arrays(), found.card.model_dump(mode="json")
    save_arrays(backbone, arrays, {"card": card})


if __name__ == "__main__":
    run(main)
