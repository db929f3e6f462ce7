"""Give every image one part, so that no image vouches for itself.

Normal images: `train` (fits), `calibration` (held out; sets the thresholds), `test` (measures).
Anomalies: `head` (trains the supervised head), `test` (measures).
Further anomalies, which nothing has seen, the supervised head included: `test` only.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from belong.datasets import DataSet
from belong.errors import InputError

# Of images that are alike to the byte, the one in the earliest of these parts is kept, so that
# the official test sets stay as published. A run may lack all but the normal ones.
PARTS = (
    "normal/test",
    "normal/calibration",
    "normal/train",
    "anomaly/test",
    "anomaly/head",
    "left_out/test",  # classes of the normal data set that are neither normal nor anomaly
    "unseen/test",  # another data set
)


def assign(
    normal: DataSet,
    anomaly: DataSet,
    further: Mapping[str, DataSet],
    *,
    calibration_fraction: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return the manifest: one row per image, sorted by part.

    Columns: `part` (one of PARTS, or "dropped"), `is_anomaly`, `class_name`, `label` (of normal
    images, else -1), `source`, `row` (in its data set), `sha256`, `reason` (of a dropped image).

    Args:
        normal: the images that belong.
        anomaly: those that do not; may be empty.
        further: "left_out" and "unseen": more that do not. Of a data set with an official test
            part only that is taken.
        calibration_fraction: of every class's training images, held out to set thresholds.
        rng: draws them.

    Raises:
        InputError: a class is left with too few images to fit or to calibrate.
    """
    manifest = pd.concat(
        [
            _rows(normal, _normal_parts(normal, calibration_fraction, rng), is_anomaly=False),
            _rows(anomaly, _anomaly_parts(anomaly), is_anomaly=True),
            *(_tests_of(data, name) for name, data in further.items()),
        ],
        ignore_index=True,
    )
    manifest = _without_repeats(manifest)
    _enough_of_each_class(manifest, normal.class_names)
    order = pd.Categorical(manifest["part"], [*PARTS, "dropped"], ordered=True)
    return (
        manifest.assign(order=order)
        .sort_values(["order", "row"], kind="stable", ignore_index=True)
        .drop(columns="order")
    )


def _normal_parts(data: DataSet, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Hold out the same fraction of every class."""
    parts = np.where(data.is_test, "normal/test", "normal/train").astype(object)
    for label in range(len(data.class_names)):
        rows = np.flatnonzero((data.labels == label) & ~data.is_test)
        held_out = rng.permutation(rows)[: max(1, round(fraction * len(rows)))]
        parts[held_out] = "normal/calibration"
    return parts


def _anomaly_parts(data: DataSet) -> np.ndarray:
    return np.where(data.is_test, "anomaly/test", "anomaly/head").astype(object)


def _tests_of(data: DataSet, name: str) -> pd.DataFrame:
    rows = _rows(data, np.full(len(data.labels), f"{name}/test", object), is_anomaly=True)
    return rows[data.is_test] if data.is_test.any() else rows


def _rows(data: DataSet, parts: np.ndarray, *, is_anomaly: bool) -> pd.DataFrame:
    names = np.array(data.class_names, dtype=object)
    return pd.DataFrame(
        {
            "part": parts,
            "is_anomaly": is_anomaly,
            "class_name": names[data.labels],
            "label": -1 if is_anomaly else data.labels,
            "source": data.sources,
            "row": np.arange(len(data.labels)),
            "sha256": [hashlib.sha256(image.data).hexdigest() for image in data.images],
            "reason": "",
        }
    )


def _without_repeats(manifest: pd.DataFrame) -> pd.DataFrame:
    """Drop an image that stands, alike to the byte, in an earlier part."""
    rank = manifest["part"].map({part: rank for rank, part in enumerate(PARTS)})
    best = rank.groupby(manifest["sha256"]).transform("min")
    dropped = rank > best
    reasons = "the same image is in " + best.map(dict(enumerate(PARTS)))
    manifest.loc[dropped, "reason"] = reasons[dropped]
    manifest.loc[dropped, "part"] = "dropped"
    return manifest


def _enough_of_each_class(manifest: pd.DataFrame, names: tuple[str, ...]) -> None:
    counts = pd.crosstab(manifest["label"], manifest["part"])
    counts = counts.reindex(index=range(len(names)), columns=list(PARTS), fill_value=0)
    for part, least in (("normal/train", 2), ("normal/calibration", 1), ("normal/test", 1)):
        for label, count in counts[part].items():
            if count < least:
                raise InputError(
                    f"class {names[int(str(label))]} of the normal images has {count} in "
                    f"{part}; wanted at least {least}"
                )
