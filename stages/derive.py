"""Make anomalies that nothing has seen: noise, and normal test images that were spoiled.

Reads   images   safetensors: `normal/test/images`
Writes  derived  safetensors: `derived/KIND/images` (n, ch, h, w) uint8
"""

from pathlib import Path

import numpy as np

from belong.data.synthetic_anomalies import DERIVED
from belong.parameters import Parameters
from belong.runtime.storage import load_arrays, save_arrays
from stages.runner import run


def main(params: Path, images: Path, derived: Path) -> None:
    """Draw the images and spoil them."""
    values = Parameters.load(params)
    rng = np.random.default_rng(values.seed)
    given = load_arrays(images, "normal/test/images")["normal/test/images"]
    count = min(values.derive.images, len(given))
    drawn = given[np.sort(rng.choice(len(given), count, replace=False))]
    made = {f"derived/{kind}/images": derive(drawn, rng) for kind, derive in DERIVED.items()}
    save_arrays(derived, made)


if __name__ == "__main__":
    run(main)
