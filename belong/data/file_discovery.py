"""Find the image files that a person wants scored: below a folder, one file, or a list of paths.

No folder is a class here, and nothing is decoded. Links may run in circles, folders may be shut.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from belong.data.image_folder import NOT_OURS
from belong.data.image_reader import is_image_name
from belong.runtime.errors import InputError
from belong.runtime.text import counted, printable

# Pictures too, so that they are not passed over: each is listed as unreadable.
NOT_PIXELS = {".ai", ".eps", ".pdf", ".psd", ".svg", ".svgz"}


@dataclass(frozen=True)
class Incoming:
    """Files to score, sorted.

    Attributes:
        top: the folder that they lie in; empty if the paths stand by themselves.
        files: their paths, relative to it; bytes that are not UTF-8 as surrogates.
        shut: folders that cannot be read, with the reason.
        ignored: what else lies there: files, hidden folders, links in a circle.
    """

    top: str
    files: list[str]
    shut: list[tuple[str, str]]
    ignored: list[str]

    def path(self, file: str) -> Path:
        """Return where a file lies."""
        return Path(self.top, file)


def below(folder: Path) -> Incoming:
    """Find all that ought to be images, by their names, in a folder and its sub-folders.

    Hidden files, and what programs leave in folders of photos, are ignored.

    Raises:
        InputError: there is none, and no folder is shut.
    """
    found = Incoming(str(folder), [], [], [])
    _walk(found, "", {os.path.realpath(folder)})
    if not found.files and not found.shut:
        others = counted(len(found.ignored), "other file or folder", "other files and folders")
        raise InputError(f"{printable(folder)}: no image in it, {others}")
    return found


def listed(lines: Iterable[bytes]) -> Incoming:
    """Take paths, one in a line: what is named is meant, whatever its name.

    Raises:
        InputError: there is none.
    """
    paths = {os.fsdecode(line.rstrip(b"\r\n")) for line in lines}
    paths.discard("")
    if not paths:
        raise InputError("standard input: no path in it; wanted one in each line")
    return Incoming("", sorted(paths, key=lambda path: Path(path).parts), [], [])


def _walk(found: Incoming, inside: str, seen: set[str]) -> None:
    """Add what lies in a folder, in the order of sorted paths; of one that is shut, why."""
    try:
        with os.scandir(found.path(inside)) as entries:
            there = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        found.shut.append((inside or ".", error.strerror or str(error)))
        return
    for entry in there:
        path = f"{inside}/{entry.name}" if inside else entry.name
        if entry.name.startswith(".") or entry.name in NOT_OURS:
            found.ignored.append(path)
        elif not _is_folder(entry):
            is_picture = is_image_name(path) or Path(path).suffix.lower() in NOT_PIXELS
            (found.files if is_picture else found.ignored).append(path)
        elif (real := os.path.realpath(entry.path)) in seen:
            found.ignored.append(path)
        else:
            seen.add(real)
            _walk(found, path, seen)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle: a file that cannot be read
        return False
