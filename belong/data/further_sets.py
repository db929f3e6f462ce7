"""Read further test anomalies, used in no training: letters, and sets of the user.

The folder has a subfolder for each set, with image files or an IDX file of images; labels are not
used. KMNIST, notMNIST and EMNIST are published as IDX files.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from belong.data import idx
from belong.data.dataset import hashes
from belong.data.image_folder import ImageFiles
from belong.data.image_form import rgb_of
from belong.data.letters import letters
from belong.data.loader import LISTED_BY_CHECK, check_enough, look, pack
from belong.data.resize import Form, all_formed
from belong.data.synthetic_anomalies import DERIVED
from belong.parameters import ImagesSection
from belong.runtime.errors import InputError
from belong.runtime.text import printable

LETTERS = "letters"
TAKEN = {LETTERS, "anomaly", "left_out", "unseen", *DERIVED}
IMAGES = "-images-idx3-ubyte"
TESTS = ("t10k", "test")  # start or end of the name of an official test part
TRANSPOSED = "emnist"  # the data set whose images are transposed


def sets_in(folder: Path) -> list[Path]:
    """Return the folder of each set, sorted; hidden entries and files are skipped.

    Raises:
        InputError: no such folder, or a set has the name of another one.
    """
    if not folder.is_dir():
        raise InputError(f"further.path: {folder}: expected a folder with a folder for each set")
    folders = [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name[0] != "."]
    for path in folders:
        if path.name in TAKEN:
            raise InputError(f"{path}: expected another name: there is a set {path.name} already")
    return folders


def read_set(folder: Path, form: Form, *, options: ImagesSection) -> np.ndarray:
    """Read a set, or only its test part if it has one, in a form: (n, ch, h, w) uint8.

    Raises:
        InputError: neither images nor an IDX file, or several IDX files.
        TooManyBadFilesError: more files than allowed cannot be read.
    """
    if files := sorted(path for path in folder.iterdir() if IMAGES in path.name):
        return all_formed(_of_idx(files, folder), form)
    contents = look(folder)
    if not isinstance(contents, ImageFiles):
        raise InputError(f"{folder}: expected image files or one IDX file of images")
    background, most = rgb_of(options.background), options.max_pixels
    packed = pack(contents, form, background=background, max_pixels=most)
    limit = options.max_bad_fraction
    check_enough(packed, folder, max_bad_fraction=limit, list_name=LISTED_BY_CHECK)
    is_test = packed.data.is_test
    return packed.data.images[is_test] if is_test.any() else packed.data.images


def _of_idx(files: list[Path], folder: Path) -> np.ndarray:
    """Return the images of the test part, or of the only file: (n, 1, h, w) uint8."""
    stems = [path.name.partition(IMAGES)[0] for path in files]
    test_files = [
        path for path, stem in zip(files, stems, strict=True) if stem.rsplit("-")[-1] in TESTS
    ] or files
    if len(test_files) > 1:
        names = ", ".join(printable(path) for path in files)
        raise InputError(f"{folder}: expected one IDX file of test images, got {names}")
    images = idx.read_idx(test_files[0], axes=3)
    if test_files[0].name.startswith(TRANSPOSED):
        images = images.transpose(0, 2, 1)
    return np.ascontiguousarray(images)[:, None]


def further_sets(
    folder: Path,
    form: Form,
    *,
    known: Collection[str],
    letter_count: int,
    most: int,
    options: ImagesSection,
    seed: int,
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each set: `further/NAME` and images (n, ch, h, w) uint8, the letters first.

    Args:
        folder: folder with a subfolder for each set.
        form: the form of the normal images.
        known: SHA-256 of the images that already have a part; these are excluded.
        letter_count: number of letters to draw; 0 for none.
        most: maximum number of images per other set; larger sets are sampled.
        options: options for decoding image files.
        seed: seed of the letters and samples; each set has an independent stream.

    Raises:
        InputError: see `sets_in` and `read_set`; or all images of a set already have a part.
    """
    if letter_count:
        rng = np.random.default_rng([seed, 6])  # independent of the streams of the split
        yield f"further/{LETTERS}", _in_form(letters(letter_count, _side(form), rng), form)
    for path in sets_in(folder):
        images = read_set(path, form, options=options)
        first = pd.Series(hashes(images)).drop_duplicates()
        new = first.index[~first.isin(known)]
        if new.empty:
            raise InputError(f"{path}: all {len(images):,} images are in another part already")
        rows = np.random.default_rng([seed, 5]).permutation(new)[:most]
        yield f"further/{printable(path.name)}", images[np.sort(rows)]


def _side(form: Form) -> int:
    return min(form.height, form.width)


def _in_form(squares: np.ndarray, form: Form) -> np.ndarray:
    """Paste squares (n, side, side) into the center of black images: (n, ch, h, w)."""
    n, side, _ = squares.shape
    images = np.zeros((n, form.channels, form.height, form.width), np.uint8)
    y, x = (form.height - side) // 2, (form.width - side) // 2
    images[:, :, y : y + side, x : x + side] = squares[:, None]
    return images
