"""The outputs of the pipeline, DVC's cache and dvc.lock, altered behind DVC's back; and git."""

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.imports import ROOT
from tests.robustness.faults.fault import INPUT, Fault
from tests.small_pipeline import FILES, cached, make_pipeline

MODEL = FILES["data/model.bin"]


def _verified(change: Callable[[Path], object]) -> Callable[[Path, Path], list[str]]:
    def spoil(folder: Path, _model: Path) -> list[str]:
        root = make_pipeline(folder / INPUT)
        change(root)
        return ["belong", "verify", f"{root}"]

    return spoil


def _repository(folder: Path) -> Path:
    """Make a repository with one stage that has not run; nothing is committed."""
    root = folder / INPUT
    subprocess.run(["git", "init", "--quiet", f"{root}"], check=True)
    (root / ".dvc" / "tmp").mkdir(parents=True)
    (root / ".dvc" / "config").touch()
    (root / "dvc.yaml").write_text("stages: {a: {cmd: echo a > made, outs: [made]}}\n")
    return root


def _dvc(*words: str) -> Callable[[Path, Path], list[str]]:
    return lambda folder, _model: ["dvc", "--cd", f"{_repository(folder)}", *words]


def _lock_cut_off(folder: Path, _model: Path) -> list[str]:
    (_repository(folder) / "dvc.lock").write_text("schema: '2.0'\nstages:\n")
    return ["dvc", "--cd", f"{folder / INPUT}", "repro"]


def _without_git(folder: Path, _model: Path) -> list[str]:
    (folder / INPUT / ".dvc").mkdir()
    (folder / INPUT / ".dvc" / "config").touch()
    (folder / INPUT / "dvc.yaml").write_text("stages: {}\n")
    return ["dvc", "--cd", f"{folder / INPUT}", "repro"]


def _grid(folder: Path, _model: Path) -> list[str]:
    return [
        "reproduction.grid",
        f"{ROOT / 'reports' / 'paper' / 'params.yaml'}",
        f"{folder / 'out'}",
    ]


@contextlib.contextmanager
def _another_dvc(folder: Path) -> Iterator[None]:
    """Hold the lock that DVC holds while it runs."""
    with (folder / INPUT / ".dvc" / "tmp" / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


NOBODY = {  # without a git configuration
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "EMAIL": ""
}  # fmt: skip
FAULTS = [
    Fault(
        "output of the pipeline altered",
        _verified(lambda root: (root / "data" / "model.bin").write_bytes(b"weighty")),
        "train: data/model.bin: is altered; to repair it: ", 4,
    ),
    Fault(
        "file of DVC's cache altered",
        _verified(lambda root: cached(root, MODEL).write_bytes(b"weighty")),
        "train: data/model.bin: its copy in DVC's cache is altered; to repair it: ", 4,
    ),
    Fault(
        "output lost", _verified(lambda root: (root / "data" / "model.bin").unlink()),
        "train: data/model.bin: is missing; to repair it: ", 4,
    ),
    Fault(
        "dvc.lock cut off", _verified(lambda root: (root / "dvc.lock").write_text("a: [")),
        "dvc.lock: cut off or altered: not valid YAML; restore it with `git restore ", 4,
    ),
    Fault("no git repository, to verify", _verified(lambda _: None), "all match"),
    Fault("no git repository, for DVC", _without_git, "is not a git repository", 255),
    Fault(
        "no git repository, for the grid", _grid, "not a git repository", 2,
        around=contextlib.chdir,
    ),
    Fault("git that knows nobody", _dvc("repro"), "Updating lock file", environment=NOBODY),
    Fault("dvc.lock cut off, for DVC", _lock_cut_off, "'./dvc.lock' validation failed", 255),
    Fault(
        "two of DVC in one checkout", _dvc("repro"), "Unable to acquire lock", 255,
        around=_another_dvc,
    ),
    Fault(
        "home that DVC cannot write", _dvc("repro"), "Updating lock file",
        environment={"HOME": "/proc/none"},
    ),
]  # fmt: skip
