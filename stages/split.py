"""Choose the classes of all data sets and divide their images into parts.

Every image is brought to the form of the normal ones. Those in image files have it already.

Reads   rows       csv: one row per packed image: its data set, file, class, label, is_test
        pack       safetensors: for each data set, named by its path, (n, ch, h, w) uint8
Writes  manifest   csv: one row per image: its part, class, source and hash; repeats are dropped
        images     safetensors: for each part that has images `PART/images` (n, ch, h, w) uint8
                   and `PART/labels` (n,) int64; about: the class names
"""

from pathlib import Path

from belong.data.dataset import COLUMNS, data_set
from belong.data.splits import left_out, split
from belong.parameters import Parameters
from belong.runtime.storage import load_arrays, load_csv, save_arrays, save_csv
from belong.runtime.text import say
from stages.runner import run


def main(params: Path, rows: Path, pack: Path, manifest: Path, images: Path) -> None:
    """Choose, divide."""
    values = Parameters.load(params)
    choices = {"normal": values.normal, "anomaly": values.anomaly, "unseen": values.unseen}
    packed, listed = load_arrays(pack), load_csv(rows, *COLUMNS, as_text=True)
    divided = split(
        {one.path: data_set(one.path, listed, packed) for one in choices.values()},
        choices,
        options=values.split,
        alpha=values.calibration.alpha,
        guarantee=values.calibration.guarantee,
        seed=values.seed,
    )
    if dropped := left_out(divided.manifest):
        say(f"{len(divided.manifest):,} images{dropped}; {manifest} lists them")
    save_arrays(images, divided.arrays, {"class_names": divided.class_names})
    save_csv(manifest, divided.manifest)


if __name__ == "__main__":
    run(main)
