"""Clones of this project with the parameters of the tests, and commands in them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from tests.imports import ROOT

ENVIRONMENT = os.environ | {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}


PIPELINE = tuple(YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"])


def call(
    folder: Path, *command: str, fails: bool = False, environment: Mapping[str, str] | None = None
) -> str:
    process = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT | dict(environment or {}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (process.returncode != 0) == fails, process.stdout + process.stderr
    return process.stdout + process.stderr


def clone_to(folder: Path) -> Path:
    """Make a small repository of the files that git would clone if everything were committed."""
    file_list = call(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in file_list.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "tests" / "data" / "params.yaml", folder / "params.yaml")
    call(folder, "git", "init", "-q")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    call(folder, "git", "add", "--all")
    call(folder, "git", "commit", "--quiet", "--message", "all")
