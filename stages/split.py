"""Pack the images of both data sets into one file, divided into parts.

Reads   the two data sets; their folders are parameters, normal.path and anomaly.path
Writes  manifest   csv: one row per image: its part, class, source and hash; repeats are dropped
        images     safetensors: for each part `PART/images` (n, ch, h, w) uint8 and
                   `PART/labels` (n,) int64; about: the class names
"""

from pathlib import Path

import numpy as np

from belong.artefacts import save_arrays, save_csv
from belong.datasets import DataSet, chosen, read
from belong.errors import InputError
from belong.parts import PARTS, assign
from stages.params.split import Params
from stages.program import run


def main(params: Path, manifest: Path, images: Path) -> None:
    """Read, divide, pack."""
    values = Params.load(params)
    normal, anomaly = Path(values.normal.path), Path(values.anomaly.path)
    inside = chosen(read(normal), values.normal.classes, normal)
    outside = chosen(read(anomaly), values.anomaly.classes, anomaly)
    check_pair(inside, outside, normal, anomaly)
    table = assign(
        inside,
        outside,
        calibration_fraction=values.split.calibration_fraction,
        rng=np.random.default_rng(values.seed),
    )
    arrays = {}
    for part in PARTS:
        rows = table[table["part"] == part]
        source = outside if part.startswith("anomaly/") else inside
        arrays[f"{part}/images"] = source.images[rows["row"]]
        arrays[f"{part}/labels"] = rows["label"].to_numpy()
    save_arrays(images, arrays, {"class_names": inside.class_names})
    save_csv(manifest, table.drop(columns="row"))


def check_pair(inside: DataSet, outside: DataSet, normal: Path, anomaly: Path) -> None:
    """Refuse two data sets that cannot be told apart, or cannot be compared."""
    if len(inside.class_names) < 2:
        raise InputError(
            f"normal.classes: wanted at least 2 classes of {normal}, got {inside.class_names[0]}"
        )
    both = sorted(set(inside.class_names) & set(outside.class_names))
    if both and normal.resolve() == anomaly.resolve():
        raise InputError(
            f"normal and anomaly are both {normal} and share the classes {', '.join(both)}"
        )
    if inside.images.shape[1:] != outside.images.shape[1:]:
        sizes = ["x".join(map(str, data.images.shape[1:])) for data in (inside, outside)]
        raise InputError(
            f"{normal} has images of {sizes[0]} (channels x height x width), {anomaly} of "
            f"{sizes[1]}; wanted the same size"
        )


if __name__ == "__main__":
    run(main)
