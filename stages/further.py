"""Draw letters, and read the further sets of anomalies in a folder.

Reads   images   safetensors: `PART/images` of every part: they define the form, and images that
                 already have a part are excluded
        the sets, in the folder of the parameter further.path
Writes  further  safetensors: `further/NAME/images` (n, ch, h, w) uint8 of each set
"""

from pathlib import Path

from belong.data.dataset import hashes
from belong.data.further_sets import further_sets
from belong.data.resize import Form
from belong.parameters import Parameters
from belong.runtime.storage import load_arrays, names_in, save_arrays
from stages.runner import run

TEST = "normal/test/images"


def main(params: Path, images: Path, further: Path) -> None:
    """Draw the letters, read the sets, and save them."""
    values = Parameters.load(params)
    parts = load_arrays(images, *(name for name in names_in(images) if name.endswith("/images")))
    sets = further_sets(
        Path(values.further.path),
        Form.of(parts[TEST]),
        known={sha256 for arrays in parts.values() for sha256 in hashes(arrays)},
        letter_count=values.further.letters,
        most=values.split.further_images,
        options=values.images,
        seed=values.seed,
    )
    save_arrays(further, {f"{part}/images": arrays for part, arrays in sets})


if __name__ == "__main__":
    run(main)
