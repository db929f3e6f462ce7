"""Get the weights that the network starts from.

Writes  backbone   safetensors: all weights but the classifier's, under torchvision's names; no
                   array where the network starts from weights drawn anew, as LeNet does
"""

from pathlib import Path

import numpy as np

from belong.parameters import Parameters
from belong.runtime.storage import save_arrays
from stages.runner import run


def main(params: Path, backbone: Path) -> None:
    """Download, or read the file, check, and save."""
    values = Parameters.load(params)
    arrays: dict[str, np.ndarray] = {}
    if values.has_backbone and values.efficientnet.weights != "none":
        # Not at the top: it imports torch (2 s), which nothing else here needs.
        from belong.models.pretrained import weights_from

        arrays = weights_from(values.efficientnet.weights)
    save_arrays(backbone, arrays)


if __name__ == "__main__":
    run(main)
