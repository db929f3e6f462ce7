"""Generate synthetic anomalies: noise, and distorted normal test images.

Reads   images   safetensors: `normal/test/images`
Writes  derived  safetensors: `derived/KIND/images` (n, ch, h, w) uint8
"""

from pathlib import Path

from belong.data.synthetic_anomalies import derive
from belong.parameters import Parameters
from belong.runtime.storage import load_arrays, save_arrays
from stages.runner import run

TEST = "normal/test/images"


def main(params: Path, images: Path, derived: Path) -> None:
    """Generate the images, and save them."""
    values = Parameters.load(params)
    test_images = load_arrays(images, TEST)[TEST]
    parts = derive(test_images, most=values.derive.images, seed=values.seed)
    save_arrays(derived, {f"{part}/images": anomalies for part, anomalies in parts})


if __name__ == "__main__":
    run(main)
