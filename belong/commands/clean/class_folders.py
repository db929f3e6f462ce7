"""Check the input folder of `belong clean` before torch is imported."""

from pathlib import Path

from belong.data.image_folder import ImageFiles
from belong.data.loader import look
from belong.runtime.errors import InputError
from belong.runtime.text import printable


def class_folders(folder: Path) -> ImageFiles:
    """Return the images of a folder with one subfolder per class.

    Raises:
        InputError: the folder holds IDX files, or has only one class.
    """
    files = look(folder)
    if not isinstance(files, ImageFiles):
        raise InputError(
            f"{printable(folder)}: expected one subfolder of image files per class, got IDX files"
        )
    if len(files.class_names) < 2:
        raise InputError(
            f"{printable(folder)}: expected at least 2 class folders, got one, "
            f"{printable(files.class_names[0])}"
        )
    return files
