"""Load the pretrained backbone of the network.

Writes  backbone   safetensors: all weights except the classifier's, under timm's names;
                   about: the card. No arrays for a network without a backbone, such as LeNet
"""

from pathlib import Path

import numpy as np

from belong.models.network_choice import has_backbone
from belong.parameters import Parameters
from belong.runtime.storage import save_arrays
from stages.runner import run


def main(params: Path, backbone: Path) -> None:
    """Read or download the weights, check them, and save them."""
    values = Parameters.load(params)
    arrays: dict[str, np.ndarray] = {}
    card = None
    if has_backbone(values.network):
        # Imported here: torch and timm take 3 s, and an empty file needs neither.
        from belong.models.backbones.catalog import backbone_named

        network = backbone_named(values.network, values.backbone.weights)
        network.in_dtype(values.backbone.dtype)
        arrays, card = network.arrays(), network.card.model_dump(mode="json")
    save_arrays(backbone, arrays, {"card": card})


if __name__ == "__main__":
    run(main)
