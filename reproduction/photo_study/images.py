"""Read the photos of the study: CIFAR-10 in three parts of classes, and full-size clothes."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from belong.data import idx
from belong.data.image_folder import ImageFiles, list_images
from belong.data.loader import look, pack
from belong.data.resize import Form, all_formed
from belong.runtime.errors import InputError
from reproduction.photo_study.parts import CLOTHES, FAR, NEAR, NORMAL, PARTS

TRAIN, TEST = 500, 200  # photos of each class
FAR_IMAGES = 400
SMALL_PX = 32  # for the autoencoder
BACKGROUND, MAX_PIXELS = (255, 255, 255), 50_000_000


@dataclass(frozen=True)
class Photos:
    """The photos at the network's size, and small.

    Attributes:
        images: (n, 3, h, w) uint8.
        small: (n, 3, 32, 32) uint8, the same ones.
        class_names: (n,) str; "far" for photos of another data set, "near" for other clothes.
        is_test: (n,) bool; of full-size photos none is, before they are drawn.
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
    contents = look(photos)
    if not isinstance(contents, ImageFiles):
        raise InputError(f"{photos}: expected a folder of image files for each class")
    selection = _select(contents, photos)
    forms = Form(side_px, side_px, "rgb"), Form(SMALL_PX, SMALL_PX, "rgb")
    near, near_small = (
        pack(selection, form, background=BACKGROUND, max_pixels=MAX_PIXELS).data for form in forms
    )
    others = idx.read(far)
    rows = np.flatnonzero(others.is_test)[:FAR_IMAGES]
    gray = np.repeat(others.images[rows], 3, axis=1)
    names = np.array(near.class_names, dtype=object)[near.labels]
    return Photos(
        np.concatenate([near.images, all_formed(gray, forms[0])]),
        np.concatenate([near_small.images, all_formed(gray, forms[1])]),
        np.concatenate([names, np.full(len(rows), "far", object)]),
        np.concatenate([near.is_test, np.ones(len(rows), bool)]),
    )


def load_full_size(photos: Path, *, side_px: int) -> Photos:
    """Return the full-size photos at the sizes that the network and the autoencoder take.

    Args:
        photos: the folder that `reproduction.photo_study.fetch` makes.
        side_px: of the square that every image becomes.

    Raises:
        InputError: a class is missing.
    """
    parts = [list_images(photos / name) for name in (NORMAL, NEAR, FAR)]
    if parts[0].class_names != CLOTHES:
        raise InputError(f"{photos / NORMAL}: expected the classes {', '.join(CLOTHES)}")
    names = [
        np.array(one.class_names, object)[one.labels] if name == NORMAL
        else np.full(len(one.files), name, object)
        for name, one in zip((NORMAL, NEAR, FAR), parts, strict=True)
    ]  # fmt: skip
    images, small = (
        np.concatenate(
            [
                pack(one, form, background=BACKGROUND, max_pixels=MAX_PIXELS).data.images
                for one in parts
            ]
        )
        for form in (Form(side_px, side_px, "rgb"), Form(SMALL_PX, SMALL_PX, "rgb"))
    )
    return Photos(images, small, np.concatenate(names), np.zeros(len(images), bool))


def _select(contents: ImageFiles, photos: Path) -> ImageFiles:
    """Take the same number of each class, evenly spread over its files."""
    rows = []
    for name in (name for part in PARTS.values() for name in part):
        if name not in contents.class_names:
            raise InputError(f"{photos}: expected a class {name}, as CIFAR-10 has")
        label = contents.class_names.index(name)
        for is_test, count in ((False, TRAIN), (True, TEST)):
            rows_of_class = np.flatnonzero(
                (contents.labels == label) & (contents.is_test == is_test)
            )
            if len(rows_of_class) < count:
                kind = "test" if is_test else "training"
                raise InputError(
                    f"{photos}: {name} has {len(rows_of_class)} {kind} photos, expected {count}"
                )
            rows.append(rows_of_class[:: len(rows_of_class) // count][:count])
    selected = np.sort(np.concatenate(rows))
    return replace(
        contents,
        files=[contents.files[row] for row in selected],
        labels=contents.labels[selected],
        is_test=contents.is_test[selected],
    )
