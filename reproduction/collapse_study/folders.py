"""Draw the small folders of the study and fresh images from data sets, as class folders."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.runtime.errors import InputError

Source = DataSet | ImageFiles

FRESH = 100  # maximum number of fresh images of each class


@dataclass(frozen=True)
class SmallFolder:
    """A folder to draw.

    Attributes:
        name: name in the tables.
        source: the data set from which the folder is drawn.
        classes: the number of classes, the first of the data set in a fixed order; or their names.
        each: number of images of each class.
    """

    name: str
    source: str
    classes: int | tuple[str, ...]
    each: int


FOLDERS = (
    SmallFolder("2 digits x 60, gray", "mnist", ("4", "9"), 60),
    SmallFolder("3 digits x 60, gray", "mnist", 3, 60),
    SmallFolder("10 digits x 20, gray", "mnist", 10, 20),
    SmallFolder("3 clothes x 60, gray", "fashion-mnist", ("0", "2", "4"), 60),
    SmallFolder("10 clothes x 60, gray", "fashion-mnist", 10, 60),
    SmallFolder("2 small photos x 100, color", "cifar10", ("cat", "dog"), 100),
    SmallFolder("3 small photos x 60, color", "cifar10", ("airplane", "frog", "truck"), 60),
    SmallFolder("10 small photos x 40, color", "cifar10", 10, 40),
    SmallFolder("3 rooms x 60, photos", "rooms", 3, 60),
    SmallFolder("3 rooms x 40, photos", "rooms", 3, 40),
    SmallFolder("40 objects x 8, photos", "objects", 40, 8),
)


def write(
    folder: SmallFolder,
    sources: Mapping[str, Source],
    to: Path,
    fresh: Path,
    rng: np.random.Generator,
) -> None:
    """Draw training images and fresh images; write them as files, CLASS/FILE.

    Args:
        folder: the folder to draw.
        sources: name -> data set.
        to: output folder for the images of the small folder.
        fresh: output folder for up to `FRESH` further images of each class.
        rng: draws the images.

    Raises:
        InputError: the data set has too few images or classes.
    """
    source = sources[folder.source]
    names = list(source.class_names)
    classes = names[: folder.classes] if isinstance(folder.classes, int) else list(folder.classes)
    expected = folder.classes if isinstance(folder.classes, int) else len(folder.classes)
    if len(classes) < expected or not set(classes) <= set(names):
        raise InputError(f"{folder.source}: has {len(names)} classes, expected those of {folder}")
    for name in classes:
        rows = np.flatnonzero((source.labels == names.index(name)) & ~source.is_test)
        if len(rows) <= folder.each:
            raise InputError(
                f"{folder.source}: class {name} has {len(rows)} training images, expected at least "
                f"{folder.each + 1}"
            )
        order = rng.permutation(rows)
        parts = (to, order[: folder.each]), (fresh, order[folder.each :][:FRESH])
        for root, selection in parts:
            (root / name).mkdir(parents=True)
            for row in selection.tolist():
                _write_image(source, row, root / name)


def _write_image(source: Source, row: int, folder: Path) -> None:
    if isinstance(source, ImageFiles):
        file = source.files[row]
        shutil.copyfile(source.folder / file, folder / f"{row:06d}{file.suffix}")
    else:
        image = source.images[row]
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        Image.fromarray(pixels).save(folder / f"{row:06d}.png")
