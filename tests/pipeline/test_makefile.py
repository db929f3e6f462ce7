"""`make` on a machine with missing programs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import ROOT


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("pip_code", "is_recreated"), [(1, True), (0, False)])
def test_an_environment_without_pip_is_recreated_and_a_complete_one_is_kept(
    pip_code: int, is_recreated: bool, tmp_path: Path
) -> None:
    """Debian's Python without python3-venv leaves a folder with a python that has no pip."""
    log = tmp_path / "log"
    ours = (
        f'case "$*" in *--version) exit {pip_code};; esac; exit 1'  # installing fails: no network
    )
    program(tmp_path / "venv" / "bin" / "python", ours)
    python = program(tmp_path / "python3", f'echo "$@" >> {log}')
    venv = tmp_path / "venv"
    subprocess.run(
        ["make", f"{venv}/.pipeline", f"VENV={venv}", f"PYTHON={python}"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (f"-m venv --clear {venv}" in log.read_text()) == is_recreated


def test_the_readme_is_not_begun_without_the_tables_of_the_grid(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    venv = tmp_path / "venv"
    for name in ("pyproject.toml", "constraints.txt", "versions.txt"):
        (tmp_path / name).touch()
    program(venv / "bin" / "dvc", f"touch {tmp_path}/ran")
    (venv / ".pipeline").touch()
    process = subprocess.run(
        ["make", "readme", f"VENV={venv}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.stderr.splitlines()[0] == (
        "reports/paper/grid.csv: no such file; run `make grid`"
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("required", ["CI", "BELONG_REQUIRE_BROWSER", ""])
def test_without_a_browser_ci_fails_and_elsewhere_its_tests_are_skipped(
    required: str, tmp_path: Path
) -> None:
    environment = {"PATH": str(tmp_path), required or "NOTHING": "true"}
    process = subprocess.run(
        ["/bin/sh", ROOT / "tests" / "browser.sh"],
        env=environment,
        check=False,
        capture_output=True,
    )
    assert process.returncode == (2 if required else 0)
    test_process = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "tests/browser", "-k", "sorts_too"],
        cwd=ROOT, env=environment, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert "no Chromium here" in test_process.stdout
    assert test_process.returncode == (1 if required else 0)
