"""Compare every output of the pipeline, and its copy in DVC's cache, with `dvc.lock`.

DVC compares times and sizes of files, and trusts the contents of its cache. This module reads every
byte.
"""

import hashlib
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from belong.commands.verify.digests import Finding, digests
from belong.commands.verify.dvc_cache import (
    FOLDER,
    cache_of,
    kept_for,
    listing_bytes,
    members,
    name_of,
)
from belong.commands.verify.dvc_lock import NAME, Output, incomplete, outputs
from belong.runtime.text import printable

SHOWN = 3  # files of a folder in a message


@dataclass(frozen=True)
class Checksums:
    """The checksums of all files.

    Attributes:
        root: the folder of the pipeline.
        sums: file -> MD5 of its bytes; None if it cannot be read.
        spoiled: files of the cache whose checksum differs from their name.
    """

    root: Path
    sums: dict[Path, str | None]
    spoiled: set[Path]


def verify(root: Path, *, whole_cache: bool) -> tuple[int, list[Finding]]:
    """Read every output, and its files in the cache.

    Args:
        root: the folder with the dvc.lock.
        whole_cache: also read the files of other runs in the cache.

    Returns:
        The number of files, and the mismatches in the order of the stages.

    Raises:
        IntegrityError: a dvc.lock is damaged.
        InputError: DVC's configuration is damaged.
    """
    all_outputs, cache = outputs(root), cache_of(root)
    copies = {output: [path for path in kept_for(cache, output.md5) if path.exists()]
              for output in all_outputs}  # fmt: skip
    cached = {path for paths in copies.values() for path in paths}
    other_files = (
        {path for path in cache.glob("??/*") if path.is_file()} - cached if whole_cache else set()
    )
    files = {path for output in all_outputs for path in _files(root / output.path)}
    sums = digests(sorted(cached | other_files | files), "md5")
    checksums = Checksums(
        root, sums, {path for path in cached | other_files if sums[path] != name_of(path)}
    )
    findings = [
        finding for output in all_outputs if (finding := _finding(output, cache, checksums))
    ]
    findings += [
        Finding(f"{stage}: {root / NAME}", "is cut off, or the stage has not been run",
                " && ".join([*_steps(root), f"dvc repro {shlex.quote(stage)}"]))
        for stage in incomplete(root)
    ]  # fmt: skip
    findings += [
        Finding(f"DVC's cache: {printable(path)}", "is altered (a file of another run)",
                f"rm -f {_quoted([path])}")
        for path in sorted(checksums.spoiled - cached)
    ]  # fmt: skip
    return len(sums), findings


def _finding(output: Output, cache: Path, checksums: Checksums) -> Finding | None:
    copies = kept_for(cache, output.md5)
    spoiled = sorted(checksums.spoiled.intersection(copies))
    listing = members(copies[0]) if copies[0] not in checksums.spoiled else None
    mismatch = _mismatch(output, listing, checksums)
    if not mismatch and not spoiled:
        return None
    steps = _steps(checksums.root)
    if spoiled:
        steps.append(f"rm -f {_quoted(spoiled)}")
    if mismatch and mismatch != MISSING:
        steps.append(f"rm -r {_quoted([Path(output.path)])}")
    if not mismatch:
        steps.append(f"dvc commit --force {shlex.quote(output.stage)}")
    elif not spoiled and all(path.exists() for path in copies):
        steps.append(f"dvc checkout {_quoted([Path(output.path)])}")
    else:
        steps.append(f"dvc repro {shlex.quote(output.stage)}")
    in_cache = "its copy in DVC's cache is altered" if spoiled else ""
    text_of_finding = ", and ".join(text for text in (mismatch, in_cache) if text)
    return Finding(f"{output.stage}: {output.path}", text_of_finding, " && ".join(steps))


def _steps(root: Path) -> list[str]:
    """Return the commands that precede DVC's commands."""
    return [] if root == Path() else [f"cd {_quoted([root])}"]


MISSING = "is missing"


def _mismatch(output: Output, listing: dict[str, str] | None, checksums: Checksums) -> str:
    """Return how an output differs from dvc.lock; empty if it matches.

    `listing` has the files of a folder with their checksums, if the cache has them.
    """
    path = checksums.root / output.path
    if not path.exists():
        return MISSING
    if not output.md5.endswith(FOLDER):
        return "" if checksums.sums.get(path) == output.md5 else "is altered"
    sums = {file.relative_to(path).as_posix(): checksums.sums[file] for file in _files(path)}
    if hashlib.md5(listing_bytes(sums), usedforsecurity=False).hexdigest() + FOLDER == output.md5:
        return ""
    if listing is None:
        return "is altered"
    differ = [name for name in {*sums, *listing} if sums.get(name) != listing.get(name)]
    return f"is altered ({_few(sorted(differ))})"


def _files(path: Path) -> list[Path]:
    """Return the files of an output, as DVC counts them."""
    if not path.is_dir():
        return [path] if path.exists() else []
    return [
        Path(folder, name) for folder, _, names in os.walk(path, followlinks=True) for name in names
    ]


def _few(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(printable, names[:SHOWN])) + more


def _quoted(paths: Iterable[Path]) -> str:
    return " ".join(shlex.quote(printable(path)) for path in paths)
