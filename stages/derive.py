"""Make anomalies that nothing has seen: noise, and normal test images that were spoiled.

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
    """Draw the images and spoil them."""
    values = Parameters.load(params)
    tested = load_arrays(images, TEST)[TEST]
    parts = derive(tested, most=values.derive.images, seed=values.seed)
    save_arrays(derived, {f"{part}/images": spoiled for part, spoiled in parts})


if __name__ == "__main__":
    run(main)
