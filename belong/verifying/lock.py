"""What `dvc.lock` says of the outputs of each stage."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from belong.manifest import IntegrityError

NAME = "dvc.lock"


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


def outputs(root: Path) -> list[Output]:
    """Return all outputs that the dvc.lock of a folder, and those of the folders in it, name.

    Raises:
        IntegrityError: a dvc.lock, or the dvc.yaml beside it, is damaged.
    """
    locks = [root / NAME, *sorted(root.glob(f"*/{NAME}"))]
    return [output for lock in locks if lock.is_file() for output in _outputs(root, lock)]


def _outputs(root: Path, lock: Path) -> Iterator[Output]:
    stages = _stages(lock)
    described = _stages(lock.with_name("dvc.yaml"))
    inside = PurePosixPath(lock.parent.relative_to(root).as_posix())
    start = "" if lock.parent == root else f"{inside}/dvc.yaml:"
    for name, stage in stages.items():
        one = described.get(name.partition("@")[0]) or {}
        at = one.get("do", one).get("wdir", ".")  # paths in the lock are relative to it
        try:
            for out in stage.get("outs", []):
                path = _plain(inside / at / out["path"])
                yield Output(f"{start}{name}", path, out["md5"])
        except (AttributeError, KeyError, TypeError):
            raise _damaged(lock, f"the outputs of {name} have no path and md5") from None


def _plain(path: PurePosixPath) -> str:
    """Return the path without its `..`: data/../x is x."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _stages(path: Path) -> dict[str, Any]:
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        stages: dict[str, Any] = content["stages"]
        if not all(isinstance(stage, dict) for stage in stages.values()):
            raise TypeError
    except (YAMLError, ValueError):
        raise _damaged(path, "it is cut off or altered: not valid YAML") from None
    except (TypeError, KeyError, AttributeError):
        raise _damaged(path, "it is cut off or altered: it has no stages") from None
    return stages


def _damaged(path: Path, what: str) -> IntegrityError:
    return IntegrityError(f"{path}: {what}; `git restore {path}` brings back the committed one")
