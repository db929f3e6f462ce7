"""Every output of the pipeline, and what DVC's cache keeps of it, against `dvc.lock`.

DVC goes by the times and sizes of files, and serves what lies in its cache without a look into it;
here every byte is read.
"""

import hashlib
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from belong.commands.verify.digests import Finding, digests
from belong.commands.verify.dvc_cache import FOLDER, cache_of, kept_for, listing, members, name_of
from belong.commands.verify.dvc_lock import NAME, Output, incomplete, outputs
from belong.runtime.text import printable

SHOWN = 3  # files of a folder that a line names


@dataclass(frozen=True)
class Seen:
    """What was read.

    Attributes:
        root: the folder of the pipeline.
        sums: file -> the MD5 of its bytes; None of what cannot be read.
        spoiled: files of the cache whose sum is not their name.
    """

    root: Path
    sums: dict[Path, str | None]
    spoiled: set[Path]


def verify(root: Path, *, whole_cache: bool) -> tuple[int, list[Finding]]:
    """Read every output, and the files of the cache that it is kept in.

    Args:
        root: the folder with the dvc.lock.
        whole_cache: read what the cache keeps of other runs, too.

    Returns:
        How many files were read, and what does not match, in the order of the stages.

    Raises:
        IntegrityError: a dvc.lock is damaged.
        InputError: DVC's configuration is.
    """
    found, cache = outputs(root), cache_of(root)
    kept = {output: [path for path in kept_for(cache, output.md5) if path.exists()]
            for output in found}  # fmt: skip
    ours = {path for paths in kept.values() for path in paths}
    others = (
        {path for path in cache.glob("??/*") if path.is_file()} - ours if whole_cache else set()
    )
    of_outputs = {path for output in found for path in _files(root / output.path)}
    sums = digests(sorted(ours | others | of_outputs), "md5")
    seen = Seen(root, sums, {path for path in ours | others if sums[path] != name_of(path)})
    findings = [one for output in found if (one := _finding(output, cache, seen))]
    findings += [
        Finding(f"{stage}: {root / NAME}", "is cut off, or the stage has not been run",
                " && ".join([*_steps(root), f"dvc repro {shlex.quote(stage)}"]))
        for stage in incomplete(root)
    ]  # fmt: skip
    findings += [
        Finding(f"DVC's cache: {printable(path)}", "is altered; another run left it",
                f"rm -f {_typed([path])}")
        for path in sorted(seen.spoiled - ours)
    ]  # fmt: skip
    return len(sums), findings


def _finding(output: Output, cache: Path, seen: Seen) -> Finding | None:
    kept = kept_for(cache, output.md5)
    spoiled = sorted(seen.spoiled.intersection(kept))
    listed = members(kept[0]) if kept[0] not in seen.spoiled else None
    wrong = _wrong(output, listed, seen)
    if not wrong and not spoiled:
        return None
    steps = _steps(seen.root)
    if spoiled:
        steps.append(f"rm -f {_typed(spoiled)}")
    if wrong and wrong != MISSING:
        steps.append(f"rm -r {_typed([Path(output.path)])}")
    if not wrong:
        steps.append(f"dvc commit --force {shlex.quote(output.stage)}")
    elif not spoiled and all(path.exists() for path in kept):
        steps.append(f"dvc checkout {_typed([Path(output.path)])}")
    else:
        steps.append(f"dvc repro {shlex.quote(output.stage)}")
    in_cache = "what DVC's cache keeps of it is altered" if spoiled else ""
    what = ", and ".join(text for text in (wrong, in_cache) if text)
    return Finding(f"{output.stage}: {output.path}", what, " && ".join(steps))


def _steps(root: Path) -> list[str]:
    """Return what has to be typed before DVC's commands."""
    return [] if root == Path() else [f"cd {_typed([root])}"]


MISSING = "is missing"


def _wrong(output: Output, listed: dict[str, str] | None, seen: Seen) -> str:
    """Return what is wrong with an output; nothing if it is as it was left.

    `listed` are the files that a folder ought to have, where the cache says it.
    """
    path = seen.root / output.path
    if not path.exists():
        return MISSING
    if not output.md5.endswith(FOLDER):
        return "" if seen.sums.get(path) == output.md5 else "is altered"
    there = {file.relative_to(path).as_posix(): seen.sums[file] for file in _files(path)}
    if hashlib.md5(listing(there), usedforsecurity=False).hexdigest() + FOLDER == output.md5:
        return ""
    differ = sorted(
        name for name in {*there, *(listed or {})} if there.get(name) != (listed or {}).get(name)
    )
    return f"is altered ({_few(differ)})" if listed is not None else "is altered"


def _files(path: Path) -> list[Path]:
    """Return the files that DVC counts as those of an output."""
    if not path.is_dir():
        return [path] if path.exists() else []
    return [
        Path(folder, name) for folder, _, names in os.walk(path, followlinks=True) for name in names
    ]


def _few(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(printable, names[:SHOWN])) + more


def _typed(paths: Iterable[Path]) -> str:
    return " ".join(shlex.quote(printable(path)) for path in paths)
