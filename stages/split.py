"""Select the classes of all data sets, and split their images into parts.

IDX images are converted to the size and color mode of the normal images. The stage pack has
converted the image files.

Reads   rows       csv: one row per packed image: its data set, file, class, label, is_test
        pack       safetensors: for each data set, named by its path, (n, ch, h, w) uint8
Writes  manifest   csv: one row per image: its part ("dropped" for a duplicate), class, source, hash
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
    """Select the classes, and split the images."""
    values = Parameters.load(params)
    choices = {"normal": values.normal, "anomaly": values.anomaly, "unseen": values.unseen}
    arrays, table = load_arrays(pack), load_csv(rows, *COLUMNS, as_text=True)
    parts = split(
        {choice.path: data_set(choice.path, table, arrays) for choice in choices.values()},
        choices,
        options=values.split,
        alpha=values.calibration.alpha,
        guarantee=values.calibration.guarantee,
        seed=values.seed,
    )
    if dropped := left_out(parts.manifest):
        say(f"{len(parts.manifest):,} images{dropped}; {manifest} lists them")
    save_arrays(images, parts.arrays, {"class_names": parts.class_names})
    save_csv(manifest, parts.manifest)


if __name__ == "__main__":
    run(main)
