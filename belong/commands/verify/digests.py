"""Compute the checksums of many files in parallel, and describe a mismatch."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from belong.runtime.parallel import parallel_map
from belong.runtime.progress import bar

PIECE = 2**20  # bytes read at a time


@dataclass(frozen=True)
class Finding:
    """A file of a pipeline or a model that does not match its checksum.

    Attributes:
        where: the stage and the path, or the path.
        what: the mismatch.
        mend: the repair: a command, or a sentence.
    """

    where: str
    what: str
    mend: str


def digests(paths: Iterable[Path], kind: str) -> dict[Path, str | None]:
    """Return the checksum of each file, or None for a path that is not a readable file.

    A file with several names, such as an output that is a link to DVC's cache, is read once. The
    threads run in parallel, as hashlib releases the interpreter lock.

    Args:
        paths: the files.
        kind: "md5" or "sha256".
    """
    files: dict[tuple[int, int] | Path, list[Path]] = {}
    size = 0
    for path in paths:
        try:
            state = path.stat()
        except OSError:
            files[path] = [path]
            continue
        key = state.st_dev, state.st_ino
        size += 0 if key in files else state.st_size
        files.setdefault(key, []).append(path)
    sums: dict[Path, str | None] = {}
    with bar(size, "verify", "B") as progress:

        def digest(names: list[Path]) -> str | None:
            return _digest(names[0], kind, progress.update)

        for names, value in zip(files.values(), parallel_map(digest, files.values()), strict=True):
            sums |= dict.fromkeys(names, value)
    return sums


def _digest(path: Path, kind: str, advance: Callable[[int], object]) -> str | None:
    if not path.is_file():  # reading a pipe may never end
        return None
    digest = hashlib.new(kind, usedforsecurity=False)  # DVC's MD5 detects damage, not attacks
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                advance(len(piece))
    except OSError:
        return None
    return digest.hexdigest()
