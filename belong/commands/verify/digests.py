"""Sums of files, many at a time and none whole in memory, and what is said if one is wrong."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from belong.runtime.parallel import parallel_map
from belong.runtime.progress import bar

PIECE = 2**20  # bytes of each file that are in memory


@dataclass(frozen=True)
class Finding:
    """One output, or one file of a model, that is not what was made.

    Attributes:
        where: the stage and the path, or the path.
        what: what is wrong with it.
        mend: the command that mends it, or what to do.
    """

    where: str
    what: str
    mend: str


def digests(paths: Iterable[Path], kind: str) -> dict[Path, str | None]:
    """Return the sum of each file, `kind` "md5" or "sha256"; None of what is no file to read.

    What is one file under several names, such as an output that is a link to DVC's cache, is read
    once. The threads run side by side, for hashlib lets go of the interpreter.
    """
    named: dict[tuple[int, int] | Path, list[Path]] = {}
    size = 0
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            named[path] = [path]
            continue
        key = found.st_dev, found.st_ino
        size += 0 if key in named else found.st_size
        named.setdefault(key, []).append(path)
    sums: dict[Path, str | None] = {}
    with bar(size, "verify", "B") as progress:

        def one(names: list[Path]) -> str | None:
            return _digest(names[0], kind, progress.update)

        for names, value in zip(named.values(), parallel_map(one, named.values()), strict=True):
            sums |= dict.fromkeys(names, value)
    return sums


def _digest(path: Path, kind: str, seen: Callable[[int], object]) -> str | None:
    if not path.is_file():  # a pipe, say, would keep us waiting
        return None
    made = hashlib.new(kind, usedforsecurity=False)  # DVC's MD5 finds damage, not an attacker
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(PIECE):
                made.update(piece)
                seen(len(piece))
    except OSError:
        return None
    return made.hexdigest()
