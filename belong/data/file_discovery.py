"""Find the image files to score: below a folder, a single file, or a list of paths.

Folders are not classes here, and no file is decoded. Links may form cycles or lead out of the
folder, and folders may be unreadable.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from belong.data.image_folder import NOT_OURS, SEEN, why_ignored
from belong.data.image_kinds import is_picture
from belong.runtime.errors import InputError
from belong.runtime.text import counted, printable

LEADS_OUT = "a link that leads out of the folder, which is not followed"


@dataclass(frozen=True)
class Incoming:
    """Files to score, sorted.

    Attributes:
        top: the folder that contains them; empty for a list of paths.
        files: paths relative to `top`; bytes that are not UTF-8 as surrogates.
        shut: unreadable folders and links that point outside, with the reason.
        ignored: everything else, with the reason: files that are not images by name and content,
            hidden files and folders, circular links.
    """

    top: str
    files: list[str]
    shut: list[tuple[str, str]]
    ignored: list[tuple[str, str]]

    def path(self, file: str) -> Path:
        """Return the path of a file."""
        return Path(self.top, file)


def below(folder: Path, *, follow_links: bool = False) -> Incoming:
    """Find all images, by name or content, in a folder and its subfolders.

    Hidden files and files of operating systems are ignored. Unless `follow_links` is set, links
    that point outside the folder are listed as unreadable: otherwise anyone who can add files to
    the folder could expose pictures from elsewhere.

    Raises:
        InputError: there is no image, and no unreadable folder.
    """
    incoming = Incoming(str(folder), [], [], [])
    _walk(incoming, follow_links=follow_links)
    if not incoming.files and not incoming.shut:
        other_entries = counted(
            len(incoming.ignored), "other file or folder", "other files and folders"
        )
        raise InputError(f"{printable(folder)}: expected images, got none ({other_entries})")
    return incoming


def listed(lines: Iterable[bytes]) -> Incoming:
    """Read a list of paths, one per line; every listed file is used, whatever its name.

    Raises:
        InputError: the list is empty.
    """
    paths = {os.fsdecode(line.rstrip(b"\r\n")) for line in lines}
    paths.discard("")
    if not paths:
        raise InputError("standard input: expected one path per line, got none")
    return Incoming("", sorted(paths, key=lambda path: Path(path).parts), [], [])


def _walk(incoming: Incoming, *, follow_links: bool) -> None:
    """Add the content of a folder in sorted order; record the reason for an unreadable one.

    Iterative, because a folder tree may exceed the recursion limit.
    """
    top, path_of_top = os.path.realpath(incoming.top), Path(incoming.top)
    known_places = {_place(path_of_top)} if path_of_top.exists() else set()
    remaining = _entries(incoming, "")[::-1]
    while remaining:
        path, entry = remaining.pop()
        if entry.name.startswith(".") or entry.name in NOT_OURS:
            incoming.ignored.append((path, why_ignored(Path(entry.path))))
        elif not follow_links and _leads_out(entry, top):
            incoming.shut.append((path, LEADS_OUT))
        elif not _is_folder(entry):
            if is_picture(Path(entry.path)):
                incoming.files.append(path)
            else:
                incoming.ignored.append((path, why_ignored(Path(entry.path))))
        elif (place := _place(entry)) in known_places:
            incoming.ignored.append((path, SEEN))
        else:
            known_places.add(place)
            remaining += _entries(incoming, path)[::-1]


def _place(folder: "os.DirEntry[str] | Path") -> tuple[int, int]:
    """Return device and inode of a folder, which identify it under any name."""
    state = os.stat(folder)  # noqa: PTH116  (of an entry, Windows has no number otherwise)
    return state.st_dev, state.st_ino


def _entries(incoming: Incoming, inside: str) -> "list[tuple[str, os.DirEntry[str]]]":
    """Return the sorted entries of a folder; record the reason if it is unreadable."""
    try:
        with os.scandir(incoming.path(inside)) as entries:
            sorted_entries = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        incoming.shut.append((inside or ".", error.strerror or str(error)))
        return []
    return [(f"{inside}/{entry.name}" if inside else entry.name, entry) for entry in sorted_entries]


def _leads_out(entry: "os.DirEntry[str]", top: str) -> bool:
    """Return whether an entry is a link to a file or folder outside of the folder `top`."""
    if not entry.is_symlink():
        return False
    real = os.path.realpath(entry)
    return os.path.lexists(real) and os.path.commonpath([top, real]) != top


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link, which counts as an unreadable file
        return False
