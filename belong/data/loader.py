"""Load the image files of a data set into one array; IDX images stay as they are.

Photos of 1 to 2 megapixels take 8 ms of a processor each, 19 without decoding JPEGs smaller
(2,000 of them, to 224 x 224; Pillow 13, libjpeg-turbo 3.2, two shared cores of a server).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from belong.data import idx
from belong.data.dataset import DataSet
from belong.data.decode_pool import Decoder, each_file
from belong.data.image_folder import ImageFiles, list_images
from belong.data.image_reader import Rgb, heif_without_reader
from belong.data.resize import Color, Form
from belong.parameters import ImagesSection
from belong.runtime.errors import InputError, TooManyBadFilesError
from belong.runtime.text import printable


@dataclass(frozen=True)
class Packed:
    """A data set in one array, and what was left out of it.

    Attributes:
        data: the images that could be read, in one form.
        unreadable: (file, reason) of the others.
        is_read: (m,) bool, of all files in their order.
        ignored: (file or folder, reason) of what is no image, or hidden.
    """

    data: DataSet
    unreadable: list[tuple[str, str]]
    ignored: list[tuple[str, str]]
    is_read: np.ndarray

    @property
    def form(self) -> Form:
        """The form that the images have."""
        return Form.of(self.data.images)


def look(path: Path) -> DataSet | ImageFiles:
    """Return what the folder `path` holds: IDX files, read, or image files, listed.

    Raises:
        InputError: no such folder, or neither of both in it, or not as it should be.
    """
    if not path.exists():
        raise InputError(f"{path}: no such folder")
    if not path.is_dir():
        raise InputError(f"{path}: expected a folder with images or IDX files, got a file")
    return idx.read(path) if idx.is_idx_folder(path) else list_images(path)


def unread_heif(*found: DataSet | ImageFiles) -> str:
    """Return one line about HEIC photos that cannot be read here, or ""."""
    files = [one.paths for one in found if isinstance(one, ImageFiles)]
    return heif_without_reader(chain.from_iterable(files))


def own_form(found: DataSet | ImageFiles, *, side_px: int, color: Color) -> Form:
    """Return the form of the data set that decides: IDX images have theirs, files are given one."""
    return Form.of(found.images) if isinstance(found, DataSet) else Form(side_px, side_px, color)


def pack(found: DataSet | ImageFiles, form: Form, *, background: Rgb, max_pixels: int) -> Packed:
    """Bring image files to a form; where its color is auto, they decide it.

    Args:
        found: what `look` found; what is in an array already stays as it is.
        form: of what is made of files.
        background: lies below the transparent parts.
        max_pixels: larger files are taken for unreadable.
    """
    if isinstance(found, DataSet):
        return Packed(found, [], [], np.ones(len(found.images), bool))
    images = np.empty((len(found.files), form.channels, form.height, form.width), np.uint8)
    decode = Decoder(form, background, max_pixels).decode
    reasons = np.full(len(images), "", object)
    for row, answer in enumerate(each_file(decode, found.paths, f"reading {found.folder.name}")):
        if isinstance(answer, str):
            reasons[row] = answer
        else:
            images[row] = answer.pixels
    names = np.array([printable(file) for file in found.files], dtype=object)
    read = np.flatnonzero(reasons == "")
    bad = np.flatnonzero(reasons != "")
    images = _closed_up(images, read)
    if form.color == "auto" and _all_grey(images):
        images = images[:, :1]
    return Packed(
        DataSet(images, found.labels[read], found.class_names, found.is_test[read], names[read]),
        unreadable=list(zip(names[bad], reasons[bad], strict=True)),
        ignored=[(printable(path), reason) for path, reason in found.ignored],
        is_read=reasons == "",
    )


def pack_all(folders: Iterable[str], *, options: ImagesSection) -> dict[str, Packed]:
    """Bring the images of several folders to the form of the first one; return folder -> images.

    All folders are looked at before an image is decoded.

    Args:
        folders: the first has the normal images; one that is named twice is read once.
        options: size and color of the form, and what is refused.
    """
    found = {folder: look(Path(folder)) for folder in folders}
    form: Form | None = None
    packs: dict[str, Packed] = {}
    for folder, images_or_files in found.items():
        form = form or own_form(images_or_files, side_px=options.side_px, color=options.color)
        packs[folder] = pack(
            images_or_files, form, background=options.background_rgb, max_pixels=options.max_pixels
        )
        if len(packs) == 1:
            form = packs[folder].form  # now its color is known
    return packs


def check_enough(
    packed: Packed, path: Path, *, max_bad_fraction: float, listed: Path | str
) -> None:
    """Refuse a data set with too many unreadable files, or with a class of which none is left.

    Args:
        packed: the data set.
        path: where it lies, for the message.
        max_bad_fraction: the share of its files that may be unreadable.
        listed: where all of them are listed, for the message.

    Raises:
        TooManyBadFilesError: names how many, the first of them, and why.
    """
    data, bad = packed.data, packed.unreadable
    count = len(bad) + len(data.labels)
    first = "; ".join(f"{file} ({reason})" for file, reason in bad[:3])
    which = f"{listed} lists them, the first: {first}"
    if len(bad) / count > max_bad_fraction:
        raise TooManyBadFilesError(
            f"{path}: expected at most {max_bad_fraction:.1%} unreadable images "
            f"(images.max_bad_fraction), got {len(bad)} of {count} ({len(bad) / count:.1%}); "
            f"{which}"
        )
    left = np.bincount(data.labels, minlength=len(data.class_names))
    for name, number in zip(data.class_names, left, strict=True):
        if number == 0:
            raise TooManyBadFilesError(f"{path}: no image of class {name} can be read; {which}")


def _closed_up(images: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the kept rows, moved together in place: a copy would take the memory twice."""
    if len(kept) < len(images):
        for to, row in enumerate(kept):
            images[to] = images[row]
    return images[: len(kept)]


def _all_grey(images: np.ndarray) -> bool:
    return all((image == image[:1]).all() for image in images)
