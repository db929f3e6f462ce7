"""Choose the classes of both data sets and divide their images into parts.

Reads   rows       csv: one row per packed image: its data set, file, class, label, is_test
        pack       safetensors: for each data set, named by its path, (n, ch, h, w) uint8
Writes  manifest   csv: one row per image: its part, class, source and hash; repeats are dropped
        images     safetensors: for each part `PART/images` (n, ch, h, w) uint8 and
                   `PART/labels` (n,) int64; about: the class names
"""

from pathlib import Path

import numpy as np

from belong.artefacts import load_arrays, load_csv, save_arrays, save_csv
from belong.datasets import DataSet, chosen, with_test_part
from belong.errors import InputError
from belong.packed import COLUMNS, data_set
from belong.parts import PARTS, assign
from stages.params.split import Params
from stages.program import run


def main(params: Path, rows: Path, pack: Path, manifest: Path, images: Path) -> None:
    """Choose, divide."""
    values = Params.load(params)
    normal, anomaly = Path(values.normal.path), Path(values.anomaly.path)
    packed, listed = load_arrays(pack), load_csv(rows, *COLUMNS, as_text=True)
    read = {
        name: with_test_part(
            data_set(name, listed, packed),
            fraction=values.split.test_fraction,
            # Another stream than that of the calibration part, and the same for each data set, so
            # that an image's part depends neither on the other data set nor on chosen classes.
            rng=np.random.default_rng([values.seed, 1]),
        )
        for name in (values.normal.path, values.anomaly.path)
    }
    inside = chosen(read[values.normal.path], values.normal.classes, normal)
    outside = chosen(read[values.anomaly.path], values.anomaly.classes, anomaly)
    check_pair(inside, outside, normal, anomaly)
    table = assign(
        inside,
        outside,
        calibration_fraction=values.split.calibration_fraction,
        rng=np.random.default_rng(values.seed),
    )
    arrays = {}
    for part in PARTS:
        in_part = table[table["part"] == part]
        source = outside if part.startswith("anomaly/") else inside
        arrays[f"{part}/images"] = source.images[in_part["row"]]
        arrays[f"{part}/labels"] = in_part["label"].to_numpy()
    save_arrays(images, arrays, {"class_names": inside.class_names})
    save_csv(manifest, table.drop(columns="row"))


def check_pair(inside: DataSet, outside: DataSet, normal: Path, anomaly: Path) -> None:
    """Refuse two data sets that cannot be told apart."""
    if len(inside.class_names) < 2:
        raise InputError(
            f"normal.classes: wanted at least 2 classes of {normal}, got {inside.class_names[0]}"
        )
    both = sorted(set(inside.class_names) & set(outside.class_names))
    if both and normal.resolve() == anomaly.resolve():
        raise InputError(
            f"normal and anomaly are both {normal} and share the classes {', '.join(both)}"
        )


if __name__ == "__main__":
    run(main)
