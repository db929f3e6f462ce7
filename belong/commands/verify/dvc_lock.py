"""Read the outputs of each stage from `dvc.lock`."""

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
DVC_REFUSES = "DVC cannot read it"
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


@dataclass(frozen=True)
class Output:
    """A file or folder that a stage writes.

    Attributes:
        stage: address of the stage, as dvc accepts it: train, or data/dvc.yaml:fetch@mnist.
        path: relative to the folder of the pipeline.
        md5: checksum in DVC's form; it ends with .dir for a folder.
    """

    stage: str
    path: str
    md5: str


def uncached(root: Path) -> list[str]:
    """Return the outputs of the stages in dvc.yaml that git tracks instead of DVC's cache.

    Raises:
        IntegrityError: dvc.yaml is damaged.
    """
    stages = (stage.get("do", stage) for stage in _stages(root / "dvc.yaml").values())
    outs = [out for stage in stages for kind in KINDS for out in stage.get(kind) or []]
    return [
        path
        for out in outs
        if isinstance(out, dict)
        for path, options in out.items()
        if (options or {}).get("cache") is False
    ]


def outputs(root: Path) -> list[Output]:
    """Return the outputs in the dvc.lock of a folder and in those of its subfolders.

    An output of a subfolder that no stage of `root` reads counts only if it exists: a run on other
    images does not need the downloaded data sets.

    Raises:
        IntegrityError: a dvc.lock, or the dvc.yaml beside it, is damaged.
    """
    top = root / NAME
    locks = [lock for lock in (top, *sorted(root.glob(f"*/{NAME}"))) if lock.is_file()]
    inputs = {path for lock in locks if lock == top for path in _dependencies(lock)}
    outputs = [
        output
        for lock in locks
        for output in _outputs(root, lock)
        if lock == top or output.path in inputs or (root / output.path).exists()
    ]
    for lock in locks:
        if error := refused(lock):
            raise error
    return outputs


def refused(lock: Path) -> IntegrityError | None:
    """Return the error in a dvc.lock that DVC refuses, or None."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # imported here: `--help` does not need it
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(_content(lock))
    except Invalid:
        return _damaged(lock, f"cut off or altered: {DVC_REFUSES}")
    except IntegrityError as error:
        return error
    return None


def incomplete(root: Path) -> list[str]:
    """Return the stages of dvc.yaml that dvc.lock lacks, or lists with too few outputs.

    A dvc.lock that is cut off after a whole line is still valid YAML.
    """
    locked = _stages(root / NAME)
    stages = _stages(root / "dvc.yaml")
    return [
        name
        for name, stage in stages.items()
        if name not in locked or _outs(locked[name]) < _count(stage)
    ]


def cut_off(lock: Path, former: str) -> IntegrityError | None:
    """Return an error that names the stages missing from a valid dvc.lock, or None.

    DVC replaces the entries of dvc.lock and never removes one, so a missing stage means that DVC
    was killed while it wrote the file. DVC writes blocks of 8 KiB, and most blocks end in a file of
    valid YAML.

    Args:
        lock: a dvc.lock.
        former: the text of an earlier version of the file. If this text or the dvc.yaml cannot be
            read, no stage counts as missing.
    """
    try:
        stages, before = _stages(lock.with_name("dvc.yaml")), _stages(lock, former)
    except (IntegrityError, OSError):
        return None
    now = _stages(lock)
    missing = [
        name
        for name, stage in before.items()
        if (definition := stages.get(name.partition("@")[0]))
        and _outs(now.get(name, {})) < min(_outs(stage), _count(definition.get("do", definition)))
    ]
    return _damaged(lock, f"cut off: {', '.join(missing)} missing") if missing else None


def _outs(locked: dict[str, Any]) -> int:
    return len(locked.get("outs") or [])


def _count(stage: dict[str, Any]) -> int:
    return sum(len(stage.get(kind) or []) for kind in KINDS)


def _dependencies(lock: Path) -> set[str]:
    """Return the input paths of the stages of a dvc.lock."""
    return {
        str(dependency.get("path"))
        for stage in _stages(lock).values()
        for dependency in stage.get("deps") or []
        if isinstance(dependency, dict)
    }


def _outputs(root: Path, lock: Path) -> Iterator[Output]:
    stages = _stages(lock)
    definitions = _stages(lock.with_name("dvc.yaml"))
    folder = PurePosixPath(lock.parent.relative_to(root).as_posix())
    start = "" if lock.parent == root else f"{folder}/dvc.yaml:"
    for name, stage in stages.items():
        definition = definitions.get(name.partition("@")[0]) or {}
        wdir = definition.get("do", definition).get("wdir", ".")  # paths in the lock start here
        try:
            for out in stage.get("outs") or []:
                path = posixpath.normpath(folder / wdir / out["path"])
                if not MD5.fullmatch(out["md5"]):
                    raise TypeError
                yield Output(f"{start}{name}", path, out["md5"])
        except (AttributeError, KeyError, TypeError):
            raise _damaged(lock, f"outputs of {name}: expected path and md5") from None


def _stages(path: Path, text: str | None = None) -> dict[str, Any]:
    content = _content(path, text)
    try:
        stages: dict[str, Any] = content["stages"]
        if not all(isinstance(stage, dict) for stage in stages.values()):
            raise TypeError
    except (TypeError, KeyError, AttributeError):
        raise _damaged(path, "cut off or altered: no stages") from None
    return stages


def _content(path: Path, text: str | None = None) -> Any:
    """Parse a file, or `text`, an earlier version of it."""
    try:
        content = read_bytes(path).decode() if text is None else text
        return YAML(typ="safe", pure=True).load(content)
    except (YAMLError, ValueError, RecursionError):
        raise _damaged(path, "cut off or altered: not valid YAML") from None


def _damaged(path: Path, what: str) -> IntegrityError:
    return IntegrityError(f"{path}: {what}; restore it with `git restore {path}`")
