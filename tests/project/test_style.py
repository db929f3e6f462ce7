"""The code is formatted, linted and typed."""

import subprocess
import sys

import pytest

from tests.imports import ROOT


@pytest.mark.parametrize(
    "command", [("ruff", "format", "--check"), ("ruff", "check"), ("mypy",)], ids=" ".join
)
def test_the_code_passes(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
