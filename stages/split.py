"""Choose the classes of all data sets and divide their images into parts.

Every image is brought to the form of the normal ones. Those in image files have it already.

Reads   rows       csv: one row per packed image: its data set, file, class, label, is_test
        pack       safetensors: for each data set, named by its path, (n, ch, h, w) uint8
Writes  manifest   csv: one row per image: its part, class, source and hash; repeats are dropped
        images     safetensors: for each part that has images `PART/images` (n, ch, h, w) uint8
                   and `PART/labels` (n,) int64; about: the class names
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from belong.calibration.sample_size import least_held_out
from belong.data.dataset import COLUMNS, DataSet, chosen, data_set, with_test_part
from belong.data.resize import Form, all_formed
from belong.data.splits import PARTS, assign, check_pair, keep_unused, left_out, tell_repeats
from belong.parameters import Parameters
from belong.runtime.errors import InputError
from belong.runtime.storage import load_arrays, load_csv, save_arrays, save_csv
from stages.runner import run


def main(params: Path, rows: Path, pack: Path, manifest: Path, images: Path) -> None:
    """Choose, divide."""
    values = Parameters.load(params)
    wanted = {"normal": values.normal, "anomaly": values.anomaly, "unseen": values.unseen}
    paths = {kind: Path(section.path) for kind, section in wanted.items()}
    packed, listed = load_arrays(pack), load_csv(rows, *COLUMNS, as_text=True)
    whole = {kind: data_set(section.path, listed, packed) for kind, section in wanted.items()}
    divided = {kind: with_test(whole[kind], values) for kind in ("normal", "anomaly")}
    sets = {
        kind: chosen(divided.get(kind, whole[kind]), section.classes, paths[kind])
        for kind, section in wanted.items()
    }
    check_pair(sets["normal"], sets["anomaly"], paths["normal"], paths["anomaly"])
    sets["left_out"] = whole["normal"]
    keep_unused(sets, paths | {"left_out": paths["normal"]})
    form = Form.of(whole["normal"].images)
    check_size(sets, form, values)
    table = assign(
        sets["normal"],
        sets["anomaly"],
        {kind: sets[kind] for kind in ("left_out", "unseen")},
        form=form,
        calibration_fraction=values.split.calibration_fraction,
        further_images=values.split.further_images,
        rng=np.random.default_rng(values.seed),
    )
    check_calibration(table, values)
    tell_repeats(table, manifest)
    arrays = {}
    for part in PARTS:
        own = table[table["part"] == part]
        if len(own):
            source = sets[part.split("/")[0]]
            arrays[f"{part}/images"] = all_formed(source.images[own["row"]], form)
            arrays[f"{part}/labels"] = own["label"].to_numpy()
    save_arrays(images, arrays, {"class_names": sets["normal"].class_names})
    save_csv(manifest, table.drop(columns="row"))


def with_test(data: DataSet, values: Parameters) -> DataSet:
    """Draw a test part where there is none; of all classes, so that no choice of them moves it."""
    # Another stream than that of the calibration part.
    rng = np.random.default_rng([values.seed, 1])
    return with_test_part(data, fraction=values.split.test_fraction, rng=rng)


def check_size(sets: dict[str, DataSet], form: Form, values: Parameters) -> None:
    """Refuse what would not fit into memory, before the work."""
    most = {"left_out": values.split.further_images, "unseen": values.split.further_images}
    images = {
        kind: min(len(data.labels), most.get(kind, sys.maxsize)) for kind, data in sets.items()
    }
    size = sum(images.values()) * form.channels * form.height * form.width
    if size > values.split.max_gigabytes * 1e9:
        listed = ", ".join(f"{count:,} {kind}" for kind, count in images.items() if count)
        raise InputError(
            f"{listed} images of {form.height} x {form.width} px ({form.color}) take "
            f"{size / 1e9:.1f} GB, and split.max_gigabytes is {values.split.max_gigabytes:g}; "
            f"fewer classes, anomaly.classes none or a smaller images.side_px would do"
        )


def check_calibration(table: pd.DataFrame, values: Parameters) -> None:
    """Refuse, before anything is trained, too few images to calibrate."""
    normal = table[~table["is_anomaly"]]
    held_out, alpha = int((normal["part"] == "normal/calibration").sum()), values.calibration.alpha
    least = least_held_out(alpha)
    if held_out < least:
        raise InputError(
            f"{held_out} images are held out to calibrate; at alpha {alpha:g} combined wants "
            f"{least}, half of them for its p-values; a larger split.calibration_fraction or "
            f"calibration.alpha, or more images, would do{left_out(normal)}"
        )


if __name__ == "__main__":
    run(main)
