"""Find the image files to score: below a folder, a single file, or a list of paths.

No folder is a class here, and nothing is decoded. Links may run in circles or lead out of the
folder, and folders may be shut.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from belong.data.image_folder import NOT_OURS, SEEN, why_ignored
from belong.data.image_kinds import is_picture
from belong.runtime.errors import InputError
from belong.runtime.text import counted, printable

LEADS_OUT = "a link that leads out of the folder; --follow-links reads it"


@dataclass(frozen=True)
class Incoming:
    """Files to score, sorted.

    Attributes:
        top: the folder that they lie in; empty if the paths stand by themselves.
        files: their paths, relative to it; bytes that are not UTF-8 as surrogates.
        shut: folders that cannot be read and links that lead out, with the reason.
        ignored: what else lies there, with the reason: files that are no image by their name and
            content, hidden files and folders, links in a circle.
    """

    top: str
    files: list[str]
    shut: list[tuple[str, str]]
    ignored: list[tuple[str, str]]

    def path(self, file: str) -> Path:
        """Return where a file lies."""
        return Path(self.top, file)


def below(folder: Path, *, follow_links: bool = False) -> Incoming:
    """Find all that are images, by their names or content, in a folder and its sub-folders.

    Hidden files, and what programs leave in folders of photos, are ignored. Unless `follow_links`
    is set, links that lead out of the folder are listed as what cannot be read: somebody who may
    put files into it could show pictures of others by them.

    Raises:
        InputError: there is none, and no folder is shut.
    """
    found = Incoming(str(folder), [], [], [])
    _walk(found, follow_links=follow_links)
    if not found.files and not found.shut:
        others = counted(len(found.ignored), "other file or folder", "other files and folders")
        raise InputError(f"{printable(folder)}: expected images, got none ({others})")
    return found


def listed(lines: Iterable[bytes]) -> Incoming:
    """Take paths, one in a line: what is named is meant, whatever its name.

    Raises:
        InputError: there is none.
    """
    paths = {os.fsdecode(line.rstrip(b"\r\n")) for line in lines}
    paths.discard("")
    if not paths:
        raise InputError("standard input: expected one path per line, got none")
    return Incoming("", sorted(paths, key=lambda path: Path(path).parts), [], [])


def _walk(found: Incoming, *, follow_links: bool) -> None:
    """Add what lies below a folder, in the order of sorted paths; of a folder that is shut, why.

    A folder may be deeper than Python calls functions.
    """
    top, there = os.path.realpath(found.top), Path(found.top)
    seen = {_place(there)} if there.exists() else set()
    left = _entries(found, "")[::-1]
    while left:
        path, entry = left.pop()
        if entry.name.startswith(".") or entry.name in NOT_OURS:
            found.ignored.append((path, why_ignored(Path(entry.path))))
        elif not follow_links and _leads_out(entry, top):
            found.shut.append((path, LEADS_OUT))
        elif not _is_folder(entry):
            if is_picture(Path(entry.path)):
                found.files.append(path)
            else:
                found.ignored.append((path, why_ignored(Path(entry.path))))
        elif (place := _place(entry)) in seen:
            found.ignored.append((path, SEEN))
        else:
            seen.add(place)
            left += _entries(found, path)[::-1]


def _place(folder: "os.DirEntry[str] | Path") -> tuple[int, int]:
    """Return where a folder is on the disk: it has one place, and any number of names."""
    state = os.stat(folder)  # noqa: PTH116  (of an entry, Windows has no number otherwise)
    return state.st_dev, state.st_ino


def _entries(found: Incoming, inside: str) -> "list[tuple[str, os.DirEntry[str]]]":
    """Return the paths of what lies in a folder, sorted; note why, if it is shut."""
    try:
        with os.scandir(found.path(inside)) as entries:
            there = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        found.shut.append((inside or ".", error.strerror or str(error)))
        return []
    return [(f"{inside}/{entry.name}" if inside else entry.name, entry) for entry in there]


def _leads_out(entry: "os.DirEntry[str]", top: str) -> bool:
    """Return whether something is a link to what lies outside of the folder `top`."""
    if not entry.is_symlink():
        return False
    real = os.path.realpath(entry)
    return os.path.lexists(real) and os.path.commonpath([top, real]) != top


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle: a file that cannot be read
        return False
