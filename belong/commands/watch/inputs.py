"""What `belong watch` is given: a table of predictions, a folder that holds one, or images."""

from pathlib import Path

from belong.data.file_discovery import Incoming, below
from belong.data.image_reader import is_image_name
from belong.prediction.prediction_files import PREDICTIONS
from belong.runtime.errors import InputError
from belong.runtime.text import printable

# What a look leaves in a folder; the picture may lie beside predictions, and is none of the images.
TABLE, PICTURE = "watch.csv", "watch.png"


def look(path: Path) -> Path | Incoming:
    """Return the table that a path stands for, or the images below it.

    A path that is no folder is taken for a table; what is wrong with it shows where it is read.

    Raises:
        InputError: a folder that has both or neither, or an image.
    """
    name = printable(path)
    if not path.is_dir():
        if is_image_name(path.name) and path.exists():
            raise InputError(f"{name}: is an image; wanted a folder of images, or {PREDICTIONS}")
        return path
    table = path / PREDICTIONS
    try:
        found = below(path)
    except InputError:
        if table.exists():
            return table
        raise InputError(
            f"{name}: has no image in it, and no {PREDICTIONS}; wanted a folder of images, or what "
            f"`belong score` made of one"
        ) from None
    if not table.exists():
        return found
    others = [file for file in found.files if file != PICTURE]
    if others:
        raise InputError(
            f"{name}: has {PREDICTIONS} and images, {printable(others[0])} is one; wanted "
            f"{printable(table)}, to judge what was scored, or a folder of nothing but images"
        )
    return table
