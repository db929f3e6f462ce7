"""List the image files of a data set with one folder per class.

The layout is detected. There are three:

    FOLDER/<class>/...            one folder per class
    FOLDER/train/<class>/...      training images, and
    FOLDER/test/<class>/...       official test images
    FOLDER/*.jpg                  one class, named after the folder

Images in subfolders of a class belong to that class. Classes are sorted by name, character by
character (10 before 9), as in torchvision's ImageFolder, so labels are the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from belong.data.image_kinds import is_image
from belong.runtime.errors import InputError
from belong.runtime.text import folded, printable

# Folders that operating systems and programs add to folders of photos, beside hidden ones.
NOT_OURS = {"__MACOSX", "@eaDir"}
SEEN = "a link to a folder that is read already"
OUTSIDE = "a link to a folder outside; only a class folder may be one"
# Two folders with such names are parts of a data set; a single one may be a class, such as trains.
PARTS = {"test", "testing", "train", "training", "val", "valid", "validation"}


@dataclass(frozen=True)
class ImageFiles:
    """The files of a data set, sorted: training images first, then by class, then by name.

    Attributes:
        folder: the folder of the data set.
        files: n paths, relative to the folder.
        labels: (n,) int64, 0..c-1.
        class_names: the c names, sorted.
        is_test: (n,) bool, whether an image is an official test image.
        ignored: all other files and folders: (path relative to the folder, reason).
    """

    folder: Path
    files: list[Path]
    labels: np.ndarray
    class_names: tuple[str, ...]
    is_test: np.ndarray
    ignored: list[tuple[Path, str]]

    @property
    def paths(self) -> list[Path]:
        """The paths of the n files."""
        return [self.folder / file for file in self.files]


def list_images(folder: Path) -> ImageFiles:
    """List the images below `folder`, by class.

    Raises:
        InputError: there is no image, a class has no image, images lie beside the class folders,
            two class names differ only in case or in the encoding of accents, or a class in test is
            missing in train. The message has a line for each problem.
    """
    ignored: list[tuple[Path, str]] = []
    wrong: list[str] = []
    train, test = _by_part(folder, ignored, wrong)
    names = sorted({*train, *test})
    wrong += _alike(folder, names)
    if test:
        wrong += _not_trained(folder, train, test)
    wrong += _without_images(folder, [*train.items(), *test.items()])
    if wrong:
        raise InputError("\n".join(dict.fromkeys(wrong)))
    rows = [
        (file.relative_to(folder), names.index(name), part is test)
        for part in (train, test)
        for name in sorted(part)
        for file in part[name]
    ]
    return ImageFiles(
        folder=folder,
        files=[file for file, _, _ in rows],
        labels=np.array([label for _, label, _ in rows], np.int64),
        class_names=tuple(printable(name) for name in names),
        is_test=np.array([is_test for _, _, is_test in rows], bool),
        ignored=[(path.relative_to(folder), reason) for path, reason in ignored],
    )


Classes = dict[str, list[Path]]
Place = tuple[int, int]  # device and inode, which identify a folder under any name


def _place(path: Path) -> Place:
    state = path.stat()
    return state.st_dev, state.st_ino


def _by_part(
    folder: Path, ignored: list[tuple[Path, str]], wrong: list[str]
) -> tuple[Classes, Classes]:
    """Return the files of each class, for training and for the test."""
    inside = sorted(path for path in folder.iterdir() if _is_class_folder(path))
    wrong += _alike(folder, [path.name for path in inside])
    folders = {path.name.lower(): path for path in inside}
    if len(PARTS & set(folders)) < 2:
        return _by_class(folder, folder, ignored, wrong), {}
    if set(folders) != {"train", "test"}:
        names = ", ".join(printable(path.name) for path in inside)
        wrong.append(
            f"{folder}: expected only the folders train and test, or one folder per class, got "
            f"{names}"
        )
        raise InputError("\n".join(wrong))  # the classes are unknown
    loose = []
    for path in sorted(folder.iterdir()):
        if path in folders.values():
            continue
        if not _is_hidden(path) and is_image(path):
            loose.append(path)
        else:
            ignored.append((path, why_ignored(path)))
    if loose:
        wrong.append(
            f"{folder}: expected all images in train and test, got images beside them: "
            f"{_first_of(loose)}"
        )
    train, test = (_by_class(folders[part], folder, ignored, wrong) for part in ("train", "test"))
    return train, test


def _by_class(top: Path, root: Path, ignored: list[tuple[Path, str]], wrong: list[str]) -> Classes:
    """Return the files of each class below `top`; without class folders there is one class."""
    classes: Classes = {}
    loose = []
    above = {_place(root), _place(top)}
    for path in sorted(top.iterdir()):
        if _is_class_folder(path):
            if _place(path) in above or root.resolve().is_relative_to(path.resolve()):
                ignored.append((path, "a link to a folder above it"))
                continue
            classes[path.name] = _images_below(path, root, {*above, _place(path)}, ignored)
        elif not _is_hidden(path) and is_image(path):
            loose.append(path)
        else:
            ignored.append((path, why_ignored(path)))
    if classes and loose:
        wrong.append(
            f"{top}: expected all images in class folders, got images beside them: "
            f"{_first_of(loose)}"
        )
    return classes or {root.resolve().name: loose}


def _images_below(
    folder: Path, root: Path, known_places: set[Place], ignored: list[tuple[Path, str]]
) -> list[Path]:
    """Return the images in `folder` and its subfolders; links may form cycles.

    A link to a folder outside of both `folder` and `root` is ignored, as it may lead to the whole
    disk. A link to an image is followed, as in the tree of `belong clean --link`.
    """
    images, inside = [], (folder.resolve(), root.resolve())
    remaining = sorted(folder.iterdir(), reverse=True)
    while remaining:  # iterative, as the tree may exceed the recursion limit
        path = remaining.pop()
        if _is_hidden(path):
            ignored.append((path, why_ignored(path)))
        elif path.is_dir():
            if path.is_symlink() and not any(map(path.resolve().is_relative_to, inside)):
                ignored.append((path, OUTSIDE))
            elif _place(path) in known_places:
                ignored.append((path, SEEN))
            else:
                known_places.add(_place(path))
                remaining += sorted(path.iterdir(), reverse=True)
        elif is_image(path):
            images.append(path)
        else:
            ignored.append((path, why_ignored(path)))
    return images


def _first_of(files: list[Path]) -> str:
    more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
    return f"{printable(files[0].name)}{more}"


def _is_class_folder(path: Path) -> bool:
    return path.is_dir() and not _is_hidden(path)


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name in NOT_OURS


def why_ignored(path: Path) -> str:
    """Return the reason why a file or folder is ignored."""
    if not _is_hidden(path):
        return "not an image, by its name and content"
    return "a hidden folder" if path.is_dir() else "a hidden file"


def _alike(folder: Path, names: list[str]) -> Iterator[str]:
    """Find names that are equal on a system that ignores case or normalizes accents."""
    first_names: dict[str, str] = {}
    for name in names:
        other = first_names.setdefault(folded(name), name)
        if other != name:
            yield (
                f"{folder}: expected class names that differ in more than case and the encoding of "
                f"accents, got {printable(other)} and {printable(name)}"
            )


def _not_trained(folder: Path, train: Classes, test: Classes) -> Iterator[str]:
    for name in sorted(set(test) - set(train)):
        yield (
            f"{folder}: class {printable(name)}: expected training images, got {len(test[name])} "
            f"in test only"
        )


def _without_images(folder: Path, classes: list[tuple[str, list[Path]]]) -> Iterator[str]:
    if not any(files for _, files in classes):
        yield (
            f"{folder}: expected one folder of images per class, the images of a single class, or "
            "the four IDX files of MNIST's format, got no image (for unlabeled images: "
            "`belong find`)"
        )
        return
    for name, files in classes:
        if not files:
            yield f"{folder}: class {printable(name)}: expected images in its folder, got none"
