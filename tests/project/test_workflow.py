"""The workflow of GitHub: what it runs is there, and it may do no more than it has to."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.imports import ROOT

WORKFLOW = YAML(typ="safe", pure=True).load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_it_runs_the_tests_on_each_push_and_pull_request() -> None:
    assert set(WORKFLOW["on"]) == {"push", "pull_request"}
    commands = [step["run"] for step in WORKFLOW["jobs"]["test"]["steps"] if "run" in step]
    assert commands == ["make test PYTHON=python"]


@pytest.mark.parametrize(
    "command", [step["run"] for step in STEPS if step.get("run", "").startswith("make")]
)
def test_make_knows_each_target(command: str, tmp_path: Path) -> None:
    words = command.split()
    process = subprocess.run(
        [words[0], "--dry-run", f"VENV={tmp_path}", *words[1:]],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr


def test_only_the_comment_may_write_and_no_strangers_text_gets_into_a_shell() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    rights: dict[str, Any] = {
        name: job["permissions"] for name, job in WORKFLOW["jobs"].items() if "permissions" in job
    }
    assert rights == {"summary": {"contents": "read", "pull-requests": "write"}}
    assert [step for step in STEPS if "${{" in step.get("run", "")] == []


def test_the_summary_has_the_line_of_make_and_the_changes_since_the_base(tmp_path: Path) -> None:
    """`dvc` and the programs stand for themselves: what they print is tested elsewhere."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for name in ("pyproject.toml", "constraints.txt", "versions.txt"):
        (tmp_path / name).touch()
    binaries = tmp_path / "venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("dvc", "python"):
        (binaries / name).write_text(f'#!/bin/sh\necho "{name} $@"\n')
        (binaries / name).chmod(0o755)
    (tmp_path / "venv" / ".pipeline").touch()
    subprocess.run(
        ["make", "summary", "BASE=main", "VENV=venv"], cwd=tmp_path, env=os.environ,
        capture_output=True, check=True,
    )  # fmt: skip
    text = (tmp_path / "build" / "summary.md").read_text()
    assert [line for line in text.splitlines() if line] == [
        "## This run beside main",
        "python -m belong.commands.verify.compare . reports/threads/differences.csv",
        "### Parameters",
        "dvc params diff --md main",
        "### Metrics",
        "dvc metrics diff --md main",
    ]
