"""The photos of the study: CIFAR-10 in three parts of classes, as the paper divides ImageNet-30."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from belong.data import idx
from belong.data.image_folder import ImageFiles
from belong.data.loader import look, pack
from belong.data.resize import Form, all_formed
from belong.runtime.errors import InputError
from reproduction.photo_study.parts import PARTS

TRAIN, TEST = 500, 200  # photos of each class
FAR = 400
SMALL_PX = 32  # for the autoencoder
BACKGROUND, MAX_PIXELS = (255, 255, 255), 50_000_000


@dataclass(frozen=True)
class Photos:
    """The photos in the form of the network, and small.

    Attributes:
        images: (n, 3, h, w) uint8.
        small: (n, 3, 32, 32) uint8, the same ones.
        class_names: (n,) str; "far" for photos of another data set.
        is_test: (n,) bool.
    """

    images: np.ndarray
    small: np.ndarray
    class_names: np.ndarray
    is_test: np.ndarray


def load(photos: Path, far: Path, *, side_px: int) -> Photos:
    """Return the photos of the study.

    Args:
        photos: CIFAR-10, a folder for each class below `train` and `test`.
        far: IDX files of something else, such as FashionMNIST.
        side_px: of the square that every image becomes.

    Raises:
        InputError: a class is missing, or has too few photos.
    """
    found = look(photos)
    if not isinstance(found, ImageFiles):
        raise InputError(f"{photos}: expected a folder of image files for each class")
    chosen = _chosen(found, photos)
    forms = Form(side_px, side_px, "rgb"), Form(SMALL_PX, SMALL_PX, "rgb")
    near, near_small = (
        pack(chosen, form, background=BACKGROUND, max_pixels=MAX_PIXELS).data for form in forms
    )
    others = idx.read(far)
    rows = np.flatnonzero(others.is_test)[:FAR]
    gray = np.repeat(others.images[rows], 3, axis=1)
    names = np.array(near.class_names, dtype=object)[near.labels]
    return Photos(
        np.concatenate([near.images, all_formed(gray, forms[0])]),
        np.concatenate([near_small.images, all_formed(gray, forms[1])]),
        np.concatenate([names, np.full(len(rows), "far", object)]),
        np.concatenate([near.is_test, np.ones(len(rows), bool)]),
    )


def _chosen(found: ImageFiles, photos: Path) -> ImageFiles:
    """Take the same number of each class, evenly spread over its files."""
    rows = []
    for name in (name for part in PARTS.values() for name in part):
        if name not in found.class_names:
            raise InputError(f"{photos}: expected a class {name}, as CIFAR-10 has")
        label = found.class_names.index(name)
        for is_test, count in ((False, TRAIN), (True, TEST)):
            own = np.flatnonzero((found.labels == label) & (found.is_test == is_test))
            if len(own) < count:
                kind = "test" if is_test else "training"
                raise InputError(f"{photos}: {name} has {len(own)} {kind} photos, expected {count}")
            rows.append(own[:: len(own) // count][:count])
    some = np.sort(np.concatenate(rows))
    return replace(
        found,
        files=[found.files[row] for row in some],
        labels=found.labels[some],
        is_test=found.is_test[some],
    )
