"""Load the images of a data set into one array.

A photo of 1 to 2 megapixels takes 8 ms of processor time, or 19 ms if JPEGs are decoded at full
size (2,000 photos, to 224 x 224; Pillow 13, libjpeg-turbo 3.2, two shared cores of a server).
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
from belong.data.image_form import rgb_of
from belong.data.image_reader import Rgb, heif_without_reader
from belong.data.resize import Color, Form
from belong.data.unreadable import none_readable
from belong.parameters import ImagesSection
from belong.runtime.errors import InputError, TooManyBadFilesError
from belong.runtime.text import percent, percent_of, printable

LISTED_BY_CHECK = "`belong check -o OUT`"  # the command that lists unreadable files


@dataclass(frozen=True)
class Packed:
    """A data set in one array, with its unreadable and ignored files.

    Attributes:
        data: the readable images, in one form.
        unreadable: (file, reason) of unreadable files.
        is_read: (m,) bool, whether each of all m files is readable, in their order.
        ignored: (file or folder, reason) of hidden entries and of files that are no images.
    """

    data: DataSet
    unreadable: list[tuple[str, str]]
    ignored: list[tuple[str, str]]
    is_read: np.ndarray

    @property
    def form(self) -> Form:
        """The form of the images."""
        return Form.of(self.data.images)


def look(path: Path) -> DataSet | ImageFiles:
    """Read the IDX files in the folder `path`, or list its image files.

    Raises:
        InputError: the folder is missing, has neither kind of file, or is invalid.
    """
    if not path.exists():
        raise InputError(f"{path}: no such folder")
    if not path.is_dir():
        raise InputError(f"{path}: expected a folder with images or IDX files, got a file")
    return idx.read(path) if idx.is_idx_folder(path) else list_images(path)


def unread_heif(*image_sets: DataSet | ImageFiles) -> str:
    """Return one line about HEIC photos that cannot be read here, or ""."""
    files = [one.paths for one in image_sets if isinstance(one, ImageFiles)]
    return heif_without_reader(chain.from_iterable(files))


def own_form(images: DataSet | ImageFiles, *, side_px: int, color: Color) -> Form:
    """Return the form of the first data set: that of IDX images, or the configured one of files."""
    return Form.of(images.images) if isinstance(images, DataSet) else Form(side_px, side_px, color)


def pack(
    image_set: DataSet | ImageFiles, form: Form, *, background: Rgb, max_pixels: int
) -> Packed:
    """Decode image files to a form; color auto is chosen from the files.

    Args:
        image_set: the result of `look`; images in an array are returned unchanged.
        form: the form for image files.
        background: color behind transparent pixels.
        max_pixels: larger images count as unreadable.
    """
    if isinstance(image_set, DataSet):
        return Packed(image_set, [], [], np.ones(len(image_set.images), bool))
    images = np.empty((len(image_set.files), form.channels, form.height, form.width), np.uint8)
    decode = Decoder(form, background, max_pixels).decode
    reasons = np.full(len(images), "", object)
    for row, answer in enumerate(
        each_file(decode, image_set.paths, f"reading {image_set.folder.name}")
    ):
        if isinstance(answer, str):
            reasons[row] = answer
        else:
            images[row] = answer.pixels
    names = np.array([printable(file) for file in image_set.files], dtype=object)
    readable = np.flatnonzero(reasons == "")
    bad = np.flatnonzero(reasons != "")
    images = _select_in_place(images, readable)
    if form.color == "auto" and _all_grey(images):
        images = images[:, :1]
    return Packed(
        DataSet(
            images,
            image_set.labels[readable],
            image_set.class_names,
            image_set.is_test[readable],
            names[readable],
        ),
        unreadable=list(zip(names[bad], reasons[bad], strict=True)),
        ignored=[(printable(path), reason) for path, reason in image_set.ignored],
        is_read=reasons == "",
    )


def pack_all(folders: Iterable[str], *, options: ImagesSection) -> dict[str, Packed]:
    """Convert the images of several folders to the form of the first; return folder -> images.

    All folders are checked before any image is decoded.

    Args:
        folders: the first has the normal images; a duplicate is read once.
        options: size, color and limits.
    """
    contents = {folder: look(Path(folder)) for folder in folders}
    form: Form | None = None
    packs: dict[str, Packed] = {}
    for folder, images_or_files in contents.items():
        form = form or own_form(images_or_files, side_px=options.side_px, color=options.color)
        packs[folder] = pack(
            images_or_files,
            form,
            background=rgb_of(options.background),
            max_pixels=options.max_pixels,
        )
        if len(packs) == 1:
            form = packs[folder].form  # now its color is known
    return packs


def check_enough(
    packed: Packed, path: Path, *, max_bad_fraction: float, list_name: Path | str
) -> None:
    """Refuse a data set with too many unreadable files or an empty class.

    Args:
        packed: the data set.
        path: path of the data set, for the message.
        max_bad_fraction: maximum share of unreadable files.
        list_name: the file with the full list, for the message.

    Raises:
        TooManyBadFilesError: the message has the number, the first file and its reason.
    """
    data, bad = packed.data, packed.unreadable
    if bad and not len(data.labels):
        raise none_readable(path, bad, listed=list_name)
    count = len(bad) + len(data.labels)
    first = "; ".join(f"{file} ({reason})" for file, reason in bad[:3])
    details = f"{list_name} lists them, the first: {first}"
    if len(bad) / count > max_bad_fraction:
        raise TooManyBadFilesError(
            f"{path}: expected at most {percent_of(max_bad_fraction)} unreadable images "
            f"(images.max_bad_fraction), got {len(bad)} of {count} "
            f"({percent(len(bad) / count)}); {details}"
        )
    counts = np.bincount(data.labels, minlength=len(data.class_names))
    for name, number in zip(data.class_names, counts, strict=True):
        if number == 0:
            raise TooManyBadFilesError(f"{path}: no image of class {name} can be read; {details}")


def check_one_readable(images: DataSet | ImageFiles, path: Path, *, options: ImagesSection) -> None:
    """Refuse image files none of which can be read; the files after a readable one are not opened.

    Args:
        images: the result of `look`.
        path: the folder, for the message.
        options: the limits.

    Raises:
        TooManyBadFilesError: the message has the first file and its reason.
    """
    if isinstance(images, DataSet):
        return
    form = Form(options.side_px, options.side_px, options.color)
    decoder = Decoder(form, rgb_of(options.background), options.max_pixels)
    bad: list[tuple[str, str]] = []
    for file, source in zip(images.files, images.paths, strict=True):
        answer = decoder.decode(source)
        if not isinstance(answer, str):
            return
        bad.append((printable(file), answer))
    raise none_readable(path, bad, listed=LISTED_BY_CHECK)


def _select_in_place(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the images at `rows`, moved to the front in place, as a copy would take memory."""
    if len(rows) < len(images):
        for to, row in enumerate(rows):
            images[to] = images[row]
    return images[: len(rows)]


def _all_grey(images: np.ndarray) -> bool:
    return all((image == image[:1]).all() for image in images)
