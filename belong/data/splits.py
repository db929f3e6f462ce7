"""Give every image one part, so that no image vouches for itself.

Normal images: `train` (fits), `calibration` (held out; sets the thresholds), `test` (measures).
Anomalies: `head` (trains the supervised head), `test` (measures).
Further anomalies, which nothing has seen, the supervised head included: `test` only.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from belong.data.dataset import (
    IS_IN,
    DataSet,
    copies,
    drawn,
    hashes,
    without,
)
from belong.data.resize import Form
from belong.runtime.errors import InputError
from belong.runtime.text import say

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
    form: Form,
    calibration_fraction: float,
    further_images: int,
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
        form: that all images are given: those that are then alike to the byte are one image.
        calibration_fraction: of every class's training images, held out to set thresholds.
        further_images: of each of the further sets; as many are drawn, if there are more.
        rng: draws them.

    Raises:
        InputError: a class is left with too few images to fit or to calibrate.
    """
    sha256 = hashes(normal.images, form)
    left_out = copies(normal, sha256)
    parts = _normal_parts(normal, left_out == "", calibration_fraction, rng)
    tables = [_rows(normal, parts, sha256, left_out, is_anomaly=False)]
    tables.append(_anomalies(anomaly, _anomaly_parts(anomaly), form))
    for name, data in further.items():
        some = _tests_of(data, further_images, rng)
        tables.append(_anomalies(data, np.full(len(data.labels), f"{name}/test"), form, some))
    manifest = pd.concat(tables, ignore_index=True)
    manifest = _without_repeats(manifest)
    _enough_of_each_class(manifest, normal.class_names)
    order = pd.Categorical(manifest["part"], [*PARTS, "dropped"], ordered=True)
    return (
        manifest.assign(order=order)
        .sort_values(["order", "row"], kind="stable", ignore_index=True)
        .drop(columns="order")
    )


def _normal_parts(
    data: DataSet, kept: np.ndarray, fraction: float, rng: np.random.Generator
) -> np.ndarray:
    """Hold out the same fraction of every class; kept (n,) bool are those that are drawn from."""
    parts = np.where(data.is_test, "normal/test", "normal/train").astype(object)
    for label in range(len(data.class_names)):
        rows = np.flatnonzero((data.labels == label) & ~data.is_test & kept)
        held_out = rng.permutation(rows)[: drawn(len(rows), fraction)]
        parts[held_out] = "normal/calibration"
    return parts


def _anomaly_parts(data: DataSet) -> np.ndarray:
    return np.where(data.is_test, "anomaly/test", "anomaly/head").astype(object)


def _tests_of(data: DataSet, most: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the places of at most so many images, of the official test part if there is one."""
    rows = np.flatnonzero(data.is_test if data.is_test.any() else ~data.is_test)
    return np.sort(rng.permutation(rows)[:most])


def _anomalies(
    data: DataSet, parts: np.ndarray, form: Form, places: np.ndarray | None = None
) -> pd.DataFrame:
    """Return the rows of anomalies, or of those at some places; their classes do not matter."""
    some = np.arange(len(data.labels)) if places is None else places
    sha256 = np.full(len(data.labels), "", object)
    sha256[some] = hashes(data.images[some], form)
    reasons = np.full(len(data.labels), "", object)
    own = DataSet(
        images=data.images[:0],
        labels=np.zeros(len(some), np.int64),
        class_names=("anomaly",),
        is_test=data.is_test[some],
        sources=data.sources[some],
    )
    reasons[some] = copies(own, sha256[some])
    return _rows(data, parts, sha256, reasons, is_anomaly=True).iloc[some]


def _rows(
    data: DataSet,
    parts: np.ndarray,
    sha256: np.ndarray,
    left_out: np.ndarray,
    *,
    is_anomaly: bool,
) -> pd.DataFrame:
    names = np.array(data.class_names, dtype=object)
    return pd.DataFrame(
        {
            "part": np.where(left_out == "", parts.astype(object), "dropped"),
            "is_anomaly": is_anomaly,
            "class_name": names[data.labels],
            "label": -1 if is_anomaly else data.labels,
            "source": data.sources,
            "row": np.arange(len(data.labels)),
            "sha256": sha256,
            "reason": left_out,
        }
    )


def _without_repeats(manifest: pd.DataFrame) -> pd.DataFrame:
    """Drop an image that stands, alike to the byte, in an earlier part.

    What has no part any more has no rank, and nothing is dropped for its sake.
    """
    rank = manifest["part"].map({part: rank for rank, part in enumerate(PARTS)})
    best = rank.groupby(manifest["sha256"]).transform("min")
    dropped = rank > best
    reasons = IS_IN + best.map(dict(enumerate(PARTS)))
    manifest.loc[dropped, "reason"] = reasons[dropped]
    manifest.loc[dropped, "part"] = "dropped"
    return manifest


def _enough_of_each_class(manifest: pd.DataFrame, names: tuple[str, ...]) -> None:
    counts = pd.crosstab(manifest["label"], manifest["part"])
    counts = counts.reindex(index=range(len(names)), columns=list(PARTS), fill_value=0)
    for part, least in (("normal/train", 2), ("normal/calibration", 1), ("normal/test", 1)):
        for label, count in counts[part].items():
            if count < least:
                own = manifest[manifest["label"] == label]
                raise InputError(
                    f"class {names[int(str(label))]} of the normal images has {count} in "
                    f"{part}; wanted at least {least}{left_out(own)}"
                )


def left_out(manifest: pd.DataFrame) -> str:
    """Return what is left out of some images, and why, to be said behind a refusal.

    Args:
        manifest: rows of what `assign` returns, those of anomalies aside.

    Returns:
        A part of a sentence that begins with "; ", or nothing where all images have a part.
    """
    reasons = manifest.loc[manifest["part"] == "dropped", "reason"]
    elsewhere = reasons[reasons.str.startswith(IS_IN)].str.removeprefix(IS_IN)
    mixed = int((~elsewhere.isin(PARTS)).sum())
    said = [f"; {mixed:,} left out: they stand in two classes"] if mixed else []
    if repeats := len(reasons) - mixed:
        said.append(f"; {repeats:,} left out: they repeat others")
    return "".join(said)


def tell_repeats(table: pd.DataFrame, manifest: Path) -> None:
    """Say how many images stand in the data sets more than once."""
    dropped = left_out(table)
    if dropped:
        say(f"{len(table):,} images{dropped}; {manifest} lists them")


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
