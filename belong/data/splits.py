"""Assign every image to one part, so that no image is used for both training and testing.

Normal images: `train`, `calibration` (held out to set the thresholds), `test`.
Anomalies: `head` (trains the supervised head), `test`.
Further anomalies, which are used in no training: `test`.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from belong.calibration.cross_conformal import LEAST_OF_CLASS
from belong.calibration.sample_size import MARGINAL, Guarantee, least_held_out
from belong.data.dataset import (
    IS_IN,
    DataSet,
    copies,
    draw_count,
    hashes,
    select_classes,
    with_test_part,
    without,
)
from belong.data.resize import Form, all_formed
from belong.parameters import DataSetSection, SplitSection
from belong.runtime.errors import InputError

# Among byte-identical images, the one in the earliest of these parts is used, so that the official
# test sets stay complete. Only the normal parts are required.
PARTS = (
    "normal/test",
    "normal/calibration",
    "normal/train",
    "anomaly/test",
    "anomaly/head",
    "left_out/test",  # classes of the normal data set that are neither normal nor anomaly
    "unseen/test",  # another data set
)


@dataclass(frozen=True)
class Split:
    """All images, each in one part.

    Attributes:
        manifest: see `assign`.
        arrays: for each part with images, `PART/images` (n, ch, h, w) uint8, in the form of the
            normal images, and `PART/labels` (n,) int64.
        class_names: classes of the normal images, in the order of the labels.
    """

    manifest: pd.DataFrame
    arrays: dict[str, np.ndarray]
    class_names: tuple[str, ...]


def split(
    whole: Mapping[str, DataSet],
    choices: Mapping[str, DataSetSection],
    *,
    options: SplitSection,
    alpha: float,
    guarantee: Guarantee = MARGINAL,
    seed: int,
    least_classes: int = 2,
    cross: bool = False,
) -> Split:
    """Choose the classes of all data sets and divide their images into parts.

    Args:
        whole: path -> data set with all its classes.
        choices: "normal", "anomaly" and "unseen" -> path and classes.
        options: the shares of the parts, and the memory limit.
        alpha: promised false-rejection rate.
        guarantee: scope of alpha.
        seed: random seed of the split.
        least_classes: minimum number of normal classes; 1 if no classifier is trained.
        cross: hold no images out: all normal images except an official test part are
            `normal/train`.

    Raises:
        InputError: a choice of classes is invalid, the images exceed the memory limit, or there are
            too few images to fit or to calibrate.
    """
    paths = {kind: Path(section.path) for kind, section in choices.items()}
    sources = {kind: whole[section.path] for kind, section in choices.items()}
    for kind in ("anomaly",) if cross else ("normal", "anomaly"):
        # Drawn from all classes, so that the test part does not depend on the choice of classes,
        # and from a random stream independent of the calibration part.
        rng = np.random.default_rng([seed, 1])
        fraction = options.test_fraction
        sources[kind] = with_test_part(sources[kind], fraction=fraction, rng=rng)
    sets = {
        kind: select_classes(sources[kind], section.classes, paths[kind])
        for kind, section in choices.items()
    }
    check_pair(
        sets["normal"], sets["anomaly"], paths["normal"], paths["anomaly"], least=least_classes
    )
    normal = whole[choices["normal"].path]
    sets["left_out"] = normal
    keep_unused(sets, paths | {"left_out": paths["normal"]})
    form = Form.of(normal.images)
    _check_size(sets, form, options)
    manifest = assign(
        sets["normal"],
        sets["anomaly"],
        {kind: sets[kind] for kind in ("left_out", "unseen")},
        form=form,
        calibration_fraction=None if cross else options.calibration_fraction,
        further_images=options.further_images,
        rng=np.random.default_rng(seed),
    )
    if not cross:
        _check_calibration(manifest, alpha, guarantee)
    arrays = {}
    for part in PARTS:
        part_rows = manifest[manifest["part"] == part]
        if len(part_rows):
            images = sets[part.split("/")[0]].images[part_rows["row"]]
            arrays[f"{part}/images"] = all_formed(images, form)
            arrays[f"{part}/labels"] = part_rows["label"].to_numpy()
    return Split(manifest.drop(columns="row"), arrays, sets["normal"].class_names)


def _check_size(sets: Mapping[str, DataSet], form: Form, options: SplitSection) -> None:
    """Refuse images that exceed the memory limit, before any work."""
    most = {"left_out": options.further_images, "unseen": options.further_images}
    images = {
        kind: min(len(data.labels), most.get(kind, sys.maxsize)) for kind, data in sets.items()
    }
    size = sum(images.values()) * form.channels * form.height * form.width
    if size > options.max_gigabytes * 1e9:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in images.items() if count)
        raise InputError(
            f"expected at most {options.max_gigabytes:g} GB of pixels (split.max_gigabytes), got "
            f"{size / 1e9:.1f} GB: {counts} images of {form.height} x {form.width} px "
            f"({form.color}); choose fewer classes, anomaly.classes none or a smaller "
            f"images.side_px"
        )


def _check_calibration(manifest: pd.DataFrame, alpha: float, guarantee: Guarantee) -> None:
    """Refuse too few calibration images, before any training."""
    normal = manifest[~manifest["is_anomaly"]]
    held_out = int((normal["part"] == "normal/calibration").sum())
    least = least_held_out(alpha, guarantee)
    if held_out < least:
        raise InputError(
            f"calibration images: expected at least {least} for combined at alpha {alpha:g}, got "
            f"{held_out}; increase split.calibration_fraction or calibration.alpha, or add images"
            f"{left_out(normal)}"
        )


def assign(
    normal: DataSet,
    anomaly: DataSet,
    further: Mapping[str, DataSet],
    *,
    form: Form,
    calibration_fraction: float | None,
    further_images: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return the manifest: one row per image, sorted by part.

    Columns: `part` (one of PARTS, or "dropped"), `is_anomaly`, `class_name`, `label` (-1 for
    anomalies), `source`, `row` (index in its data set), `sha256`, `reason` (of a dropped image).

    Args:
        normal: the images that belong.
        anomaly: images that do not belong; may be empty.
        further: "left_out" and "unseen" -> further anomalies. If a data set has an official test
            part, only this part is used.
        form: the form of all images; images that are byte-identical in it count as one image.
        calibration_fraction: held-out share of every class's training images; None: no images are
            held out, and only an official test part is used.
        further_images: maximum number of images of each further set; larger sets are sampled.
        rng: draws the calibration part and the samples.

    Raises:
        InputError: too few images of a class remain to fit or to calibrate.
    """
    sha256 = hashes(normal.images, form)
    left_out = copies(normal, sha256)
    parts = _normal_parts(normal, left_out == "", calibration_fraction, rng)
    tables = [_rows(normal, parts, sha256, left_out, is_anomaly=False)]
    tables.append(_anomalies(anomaly, _anomaly_parts(anomaly), form))
    for name, data in further.items():
        places = _tests_of(data, further_images, rng)
        tables.append(_anomalies(data, np.full(len(data.labels), f"{name}/test"), form, places))
    manifest = pd.concat(tables, ignore_index=True)
    manifest = _without_repeats(manifest)
    least = {"normal/train": 2, "normal/calibration": 1, "normal/test": 1}
    if calibration_fraction is None:
        least = {"normal/train": LEAST_OF_CLASS, "normal/test": int(normal.is_test.any())}
    _enough_of_each_class(manifest, normal.class_names, least)
    order = pd.Categorical(manifest["part"], [*PARTS, "dropped"], ordered=True)
    return (
        manifest.assign(order=order)
        .sort_values(["order", "row"], kind="stable", ignore_index=True)
        .drop(columns="order")
    )


def _normal_parts(
    data: DataSet, is_eligible: np.ndarray, fraction: float | None, rng: np.random.Generator
) -> np.ndarray:
    """Hold out the same fraction of every class, of the images with `is_eligible` (n,) bool."""
    parts = np.where(data.is_test, "normal/test", "normal/train").astype(object)
    if fraction is None:
        return parts
    for label in range(len(data.class_names)):
        rows = np.flatnonzero((data.labels == label) & ~data.is_test & is_eligible)
        held_out = rng.permutation(rows)[: draw_count(len(rows), fraction)]
        parts[held_out] = "normal/calibration"
    return parts


def _anomaly_parts(data: DataSet) -> np.ndarray:
    return np.where(data.is_test, "anomaly/test", "anomaly/head").astype(object)


def _tests_of(data: DataSet, most: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the indices of at most `most` images, of the official test part if there is one."""
    rows = np.flatnonzero(data.is_test if data.is_test.any() else ~data.is_test)
    return np.sort(rng.permutation(rows)[:most])


def _anomalies(
    data: DataSet, parts: np.ndarray, form: Form, places: np.ndarray | None = None
) -> pd.DataFrame:
    """Return the rows of all anomalies, or of those at the indices `places`, without classes."""
    selected = np.arange(len(data.labels)) if places is None else places
    sha256 = np.full(len(data.labels), "", object)
    sha256[selected] = hashes(data.images[selected], form)
    reasons = np.full(len(data.labels), "", object)
    subset = DataSet(
        images=data.images[:0],
        labels=np.zeros(len(selected), np.int64),
        class_names=("anomaly",),
        is_test=data.is_test[selected],
        sources=data.sources[selected],
    )
    reasons[selected] = copies(subset, sha256[selected])
    return _rows(data, parts, sha256, reasons, is_anomaly=True).iloc[selected]


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
    """Drop images that are byte-identical to an image in an earlier part.

    An image that is dropped already has no rank, and causes no other image to be dropped.
    """
    rank = manifest["part"].map({part: rank for rank, part in enumerate(PARTS)})
    best = rank.groupby(manifest["sha256"]).transform("min")
    dropped = rank > best
    reasons = IS_IN + best.map(dict(enumerate(PARTS)))
    manifest.loc[dropped, "reason"] = reasons[dropped]
    manifest.loc[dropped, "part"] = "dropped"
    return manifest


def _enough_of_each_class(
    manifest: pd.DataFrame, names: tuple[str, ...], least_of_parts: Mapping[str, int]
) -> None:
    counts = pd.crosstab(manifest["label"], manifest["part"])
    counts = counts.reindex(index=range(len(names)), columns=list(PARTS), fill_value=0)
    for part, least in least_of_parts.items():
        for label, count in counts[part].items():
            if count < least:
                class_rows = manifest[manifest["label"] == label]
                raise InputError(
                    f"class {names[int(str(label))]} of the normal images: expected at least "
                    f"{least} in {part}, got {count}{left_out(class_rows)}"
                )


def left_out(manifest: pd.DataFrame) -> str:
    """Return a clause on the excluded images, to append to a message.

    Args:
        manifest: rows of normal images in the table of `assign`.

    Returns:
        A clause that starts with "; ", or "" if every image has a part.
    """
    reasons = manifest.loc[manifest["part"] == "dropped", "reason"]
    elsewhere = reasons[reasons.str.startswith(IS_IN)].str.removeprefix(IS_IN)
    mixed = int((~elsewhere.isin(PARTS)).sum())
    parts = [f"; {mixed:,} excluded, as they occur in two classes"] if mixed else []
    if repeats := len(reasons) - mixed:
        parts.append(f"; {repeats:,} excluded as duplicates")
    return "".join(parts)


def check_pair(
    inside: DataSet, outside: DataSet, normal: Path, anomaly: Path, *, least: int = 2
) -> None:
    """Refuse too few normal classes, and classes that are both normal and anomaly."""
    if len(inside.class_names) < least:
        name = inside.class_names[0] if inside.class_names else "none"
        raise InputError(f"normal.classes: expected at least 2 classes of {normal}, got {name}")
    both = sorted(set(inside.class_names) & set(outside.class_names))
    if both and normal.resolve() == anomaly.resolve():
        raise InputError(
            f"normal and anomaly: expected different classes of {normal}, got "
            f"{', '.join(both)} in both"
        )


def keep_unused(sets: dict[str, DataSet], paths: dict[str, Path]) -> None:
    """Remove the classes from the further anomalies that another set uses."""
    classes_of_path: dict[Path, set[str]] = defaultdict(set)
    for kind in ("normal", "anomaly", "left_out", "unseen"):
        used_classes = classes_of_path[paths[kind].resolve()]
        if kind in ("left_out", "unseen"):
            sets[kind] = without(sets[kind], used_classes)
        used_classes.update(sets[kind].class_names)
