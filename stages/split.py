"""Pack the images of all data sets into one file, divided into parts.

Reads   the data sets; their folders are parameters: normal.path, anomaly.path, unseen.path
Writes  manifest   csv: one row per image: its part, class, source and hash; repeats are dropped
        images     safetensors: for each part that has images `PART/images` (n, ch, h, w) uint8
                   and `PART/labels` (n,) int64; about: the class names
"""

from collections import defaultdict
from pathlib import Path

import numpy as np

from belong.artefacts import save_arrays, save_csv
from belong.datasets import DataSet, chosen, read, without
from belong.errors import InputError
from belong.parts import PARTS, assign
from stages.params.split import Params
from stages.program import run


def main(params: Path, manifest: Path, images: Path) -> None:
    """Read, divide, pack."""
    values = Params.load(params)
    wanted = {kind: getattr(values, kind) for kind in ("normal", "anomaly", "unseen")}
    paths = {kind: Path(data_set.path) for kind, data_set in wanted.items()}
    whole = {path: read(path) for path in dict.fromkeys(paths.values())}
    check_sizes({path: data.images.shape[1:] for path, data in whole.items()})
    sets = {
        kind: chosen(whole[paths[kind]], data_set.classes, paths[kind])
        for kind, data_set in wanted.items()
    }
    check_pair(sets["normal"], sets["anomaly"], paths["normal"], paths["anomaly"])
    sets["left_out"] = whole[paths["normal"]]
    keep_unused(sets, paths | {"left_out": paths["normal"]})
    table = assign(
        sets["normal"],
        sets["anomaly"],
        {kind: sets[kind] for kind in ("left_out", "unseen")},
        calibration_fraction=values.split.calibration_fraction,
        rng=np.random.default_rng(values.seed),
    )
    arrays = {}
    for part in PARTS:
        rows = table[table["part"] == part]
        if len(rows):
            arrays[f"{part}/images"] = sets[part.split("/")[0]].images[rows["row"]]
            arrays[f"{part}/labels"] = rows["label"].to_numpy()
    save_arrays(images, arrays, {"class_names": sets["normal"].class_names})
    save_csv(manifest, table.drop(columns="row"))


def check_sizes(sizes: dict[Path, tuple[int, ...]]) -> None:
    """Refuse data sets that cannot be compared."""
    first, *others = sizes
    for other in others:
        if sizes[other] != sizes[first]:
            one, two = ("x".join(map(str, sizes[path])) for path in (first, other))
            raise InputError(
                f"{first} has images of {one} (channels x height x width), {other} of {two}; "
                f"wanted the same size"
            )


def check_pair(inside: DataSet, outside: DataSet, normal: Path, anomaly: Path) -> None:
    """Refuse classes that leave nothing to tell apart."""
    if len(inside.class_names) < 2:
        got = inside.class_names[0] if inside.class_names else "none"
        raise InputError(f"normal.classes: wanted at least 2 classes of {normal}, got {got}")
    both = sorted(set(inside.class_names) & set(outside.class_names))
    if both and normal.resolve() == anomaly.resolve():
        raise InputError(
            f"normal and anomaly are both {normal} and share the classes {', '.join(both)}"
        )


def keep_unused(sets: dict[str, DataSet], paths: dict[str, Path]) -> None:
    """Leave the further anomalies only the classes that nothing else is made of."""
    used: dict[Path, set[str]] = defaultdict(set)
    for kind in ("normal", "anomaly", "left_out", "unseen"):
        taken = used[paths[kind].resolve()]
        if kind in ("left_out", "unseen"):
            sets[kind] = without(sets[kind], taken)
        taken.update(sets[kind].class_names)


if __name__ == "__main__":
    run(main)
