"""A line on standard error begins with the name of the program that prints it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import ROOT

SAYS = "from belong.runtime.text import say\nsay('done')\n"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("ipykernel_launcher", "belong"),  # as a notebook's kernel
        ("my_belong.sort", "belong"),
        ("stages.sort", "sort"),
        ("reproduction.sort.__main__", "sort"),
    ],
)
def test_only_a_module_of_the_project_names_itself(module: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{module.replace('.', '/')}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in {*path.parents} - {tmp_path, *tmp_path.parents}:
        (folder / "__init__.py").touch()
    path.write_text(SAYS, encoding="utf-8")
    command = [sys.executable, "-m", module.removesuffix(".__main__")]
    assert stderr_of(command, tmp_path) == f"{name}: done\n"


def test_a_script_that_calls_the_library_lends_it_no_name(tmp_path: Path) -> None:
    script = tmp_path / "sort_photos.py"
    script.write_text(SAYS, encoding="utf-8")
    assert stderr_of([sys.executable, str(script)], tmp_path) == "belong: done\n"


def stderr_of(command: list[str], folder: Path) -> str:
    process = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return process.stderr
