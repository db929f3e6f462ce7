"""Plant errors in a folder of photos, and count the detected ones."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from belong.data.image_folder import list_images
from belong.runtime.errors import InputError

Row = dict[str, object]


@dataclass(frozen=True)
class Spoiled:
    """The photos and the planted errors of a folder.

    Attributes:
        name: name of the photos in the table.
        foreign: name of the foreign photos in the table.
        classes: the folders of the photos that belong.
        each: number of photos of each class.
        others: the folders of the foreign photos.
        planted: number of swapped labels, and number of added foreign photos.
    """

    name: str
    foreign: str
    classes: Sequence[Path]
    each: int
    others: Sequence[Path]
    planted: int


def plant(spoiled: Spoiled, to: Path, rng: np.random.Generator) -> dict[str, str]:
    """Write the photos as `to`/CLASS/FILE.

    The names and the order of the files do not reveal the planted errors.

    Args:
        spoiled: the photos and the planted errors.
        to: the folder to create.
        rng: draws the photos, the swapped labels, and the labels of the foreign photos.

    Returns:
        Path relative to `to` -> "swapped" or "foreign", for each planted error.

    Raises:
        InputError: a folder has too few photos.
    """
    files_of = [_drawn(folder, spoiled.each, rng) for folder in spoiled.classes]
    files = [(file, label) for label, class_files in enumerate(files_of) for file in class_files]
    c, count = len(files_of), spoiled.planted
    every = [file for folder in spoiled.others for file in list_images(folder).paths]
    if len(every) < count:
        raise InputError(
            f"{spoiled.others[0]}: {spoiled.foreign}: {len(every)} photos, expected {count}"
        )
    kinds = [""] * len(files)
    for row in rng.permutation(len(files))[:count].tolist():
        file, label = files[row]
        files[row], kinds[row] = (file, (label + int(rng.integers(1, c))) % c), "swapped"
    for row in rng.permutation(len(every))[:count].tolist():
        files.append((every[row], int(rng.integers(c))))
        kinds.append("foreign")
    wrong = {}
    for number, row in enumerate(rng.permutation(len(files)).tolist()):
        file, label = files[row]
        name = f"{spoiled.classes[label].name}/{number:05d}{file.suffix}"
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to / name)
        if kinds[row]:
            wrong[name] = kinds[row]
    return wrong


def counted_of(named: set[str], wrong: Mapping[str, str]) -> Row:
    """Count the flagged photos, and the planted errors among them."""
    by_kind = {
        kind: sum(wrong[name] == kind for name in named if name in wrong)
        for kind in ("swapped", "foreign")
    }
    right = sum(by_kind.values())
    return {
        **{f"{kind}_found": count for kind, count in by_kind.items()},
        "named": len(named),
        "precision": right / len(named) if named else None,
    }


def _drawn(folder: Path, count: int, rng: np.random.Generator) -> list[Path]:
    files = list_images(folder).paths
    if len(files) < count:
        raise InputError(f"{folder}: {len(files)} photos, expected at least {count}")
    return [files[row] for row in rng.permutation(len(files))[:count]]
