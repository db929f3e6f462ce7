"""What `dvc.lock` says of the outputs of each stage."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from belong.prediction.manifest import IntegrityError
from belong.runtime.storage import read_bytes

NAME = "dvc.lock"
KINDS = ("outs", "metrics", "plots")  # of outputs of a stage
DVC_REFUSES = "DVC does not read it"
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


@dataclass(frozen=True)
class Output:
    """A file or folder that a stage left.

    Attributes:
        stage: its address, as dvc takes it: train, or data/dvc.yaml:fetch@mnist.
        path: from the folder of the pipeline.
        md5: as DVC keeps it; of a folder it ends with .dir.
    """

    stage: str
    path: str
    md5: str


def uncached(root: Path) -> list[str]:
    """Return the outputs of the stages in dvc.yaml that git holds, not DVC's cache.

    Raises:
        IntegrityError: dvc.yaml is damaged.
    """
    described = (stage.get("do", stage) for stage in _stages(root / "dvc.yaml").values())
    outs = [out for stage in described for kind in KINDS for out in stage.get(kind) or []]
    return [
        path
        for out in outs
        if isinstance(out, dict)
        for path, options in out.items()
        if (options or {}).get("cache") is False
    ]


def outputs(root: Path) -> list[Output]:
    """Return the outputs that the dvc.lock of a folder, and those of the folders in it, name.

    What a folder in it fetches and no stage of `root` reads counts only if it is there: a run on
    somebody's own images wants no digits.

    Raises:
        IntegrityError: a dvc.lock, or the dvc.yaml beside it, is damaged.
    """
    own = root / NAME
    locks = [one for one in (own, *sorted(root.glob(f"*/{NAME}"))) if one.is_file()]
    read = {path for lock in locks if lock == own for path in _dependencies(lock)}
    found = [
        output
        for lock in locks
        for output in _outputs(root, lock)
        if lock == own or output.path in read or (root / output.path).exists()
    ]
    for lock in locks:
        if wrong := refused(lock):
            raise wrong
    return found


def refused(lock: Path) -> IntegrityError | None:
    """Return what is wrong with a dvc.lock that DVC does not read; nothing if it reads it."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # not at the top: the help needs none of it
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(_content(lock))
    except Invalid:
        return _damaged(lock, f"it is cut off or altered: {DVC_REFUSES}")
    except IntegrityError as error:
        return error
    return None


def incomplete(root: Path) -> list[str]:
    """Return the stages of dvc.yaml that dvc.lock says nothing of, or not all outputs.

    Cut off after a whole line, a dvc.lock is still YAML.
    """
    locked = _stages(root / NAME)
    described = _stages(root / "dvc.yaml")
    return [
        name
        for name, stage in described.items()
        if name not in locked or _outs(locked[name]) < _count(stage)
    ]


def cut_off(lock: Path, former: str) -> IntegrityError | None:
    """Return which stages a dvc.lock has lost that DVC reads without an error.

    DVC replaces the entries of dvc.lock and removes none, so a lost stage means that DVC was killed
    while it wrote the file. It writes blocks of 8 KiB, and at the end of most blocks the file is
    valid YAML.

    Args:
        lock: a dvc.lock.
        former: the text of an earlier dvc.lock in its place. If this text or the dvc.yaml cannot
            be read, no stage counts as lost.
    """
    try:
        described, before = _stages(lock.with_name("dvc.yaml")), _stages(lock, former)
    except (IntegrityError, OSError):
        return None
    now = _stages(lock)
    lost = [
        name
        for name, stage in before.items()
        if (one := described.get(name.partition("@")[0]))
        and _outs(now.get(name, {})) < min(_outs(stage), _count(one.get("do", one)))
    ]
    return _damaged(lock, f"it is cut off: it lacks {', '.join(lost)}") if lost else None


def _outs(locked: dict[str, Any]) -> int:
    return len(locked.get("outs") or [])


def _count(stage: dict[str, Any]) -> int:
    return sum(len(stage.get(kind) or []) for kind in KINDS)


def _dependencies(lock: Path) -> set[str]:
    """Return the paths that the stages of a dvc.lock read."""
    return {
        str(dependency.get("path"))
        for stage in _stages(lock).values()
        for dependency in stage.get("deps") or []
        if isinstance(dependency, dict)
    }


def _outputs(root: Path, lock: Path) -> Iterator[Output]:
    stages = _stages(lock)
    described = _stages(lock.with_name("dvc.yaml"))
    inside = PurePosixPath(lock.parent.relative_to(root).as_posix())
    start = "" if lock.parent == root else f"{inside}/dvc.yaml:"
    for name, stage in stages.items():
        one = described.get(name.partition("@")[0]) or {}
        at = one.get("do", one).get("wdir", ".")  # paths in the lock are relative to it
        try:
            for out in stage.get("outs") or []:
                path = posixpath.normpath(inside / at / out["path"])
                if not MD5.fullmatch(out["md5"]):
                    raise TypeError
                yield Output(f"{start}{name}", path, out["md5"])
        except (AttributeError, KeyError, TypeError):
            raise _damaged(lock, f"the outputs of {name} have no path and md5") from None


def _stages(path: Path, text: str | None = None) -> dict[str, Any]:
    content = _content(path, text)
    try:
        stages: dict[str, Any] = content["stages"]
        if not all(isinstance(stage, dict) for stage in stages.values()):
            raise TypeError
    except (TypeError, KeyError, AttributeError):
        raise _damaged(path, "it is cut off or altered: it has no stages") from None
    return stages


def _content(path: Path, text: str | None = None) -> Any:
    """Parse a file, or the text that it had before."""
    try:
        known = read_bytes(path).decode() if text is None else text
        return YAML(typ="safe", pure=True).load(known)
    except (YAMLError, ValueError, RecursionError):
        raise _damaged(path, "it is cut off or altered: not valid YAML") from None


def _damaged(path: Path, what: str) -> IntegrityError:
    return IntegrityError(f"{path}: {what}; `git restore {path}` brings back the committed one")
