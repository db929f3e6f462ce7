"""The programs that write the tables of reports/."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import ROOT


@pytest.mark.robustness
@pytest.mark.parametrize(
    "program", ["tests.robustness.faults", "tests.robustness.fuzz", "tests.robustness.kills"]
)
def test_whoever_asks_for_help_gets_it_and_no_file_of_that_name(
    program: str, tmp_path: Path
) -> None:
    process = subprocess.run(
        [sys.executable, "-m", program, "--help"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": f"{ROOT}"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert process.stdout.startswith(f"usage: python -m {program} "), process.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_file_of_the_project_has_the_name_of_an_option() -> None:
    """`python -m tests.faults --help` once made a file of that name, and it was kept."""
    process = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [name for name in process.stdout.splitlines() if name.startswith("-")] == []
