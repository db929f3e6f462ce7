"""The folder that `belong clean` takes: refused in a moment, before torch is imported."""

from pathlib import Path

from belong.data.image_folder import ImageFiles
from belong.data.loader import look
from belong.runtime.errors import InputError
from belong.runtime.text import printable


def class_folders(folder: Path) -> ImageFiles:
    """Return the images of a folder that has a folder of them for each class.

    Raises:
        InputError: it has none, or one class only.
    """
    files = look(folder)
    if not isinstance(files, ImageFiles):
        raise InputError(
            f"{printable(folder)}: holds IDX files; expected a folder of image files for each class"
        )
    if len(files.class_names) < 2:
        raise InputError(
            f"{printable(folder)}: has one class, {printable(files.class_names[0])}; expected at "
            f"least 2: a folder for each class"
        )
    return files
