"""Lines on standard error begin with the program's name; shares are formatted in percent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from belong.runtime.text import percent, percent_of
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


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (0.0, 0, "0%"), (4 / 1009, 0, "<1%"), (4 / 1009, 1, "0.4%"), (1e-9, 2, "<0.01%"),
        (0.006, 0, "1%"), (0.5, 1, "50.0%"), (0.994, 0, "99%"), (0.996, 0, ">99%"),
        (1 - 1e-9, 1, ">99.9%"), (1.0, 1, "100.0%"), (-0.2, 0, "-20%"),
    ],
)  # fmt: skip
def test_only_no_image_is_zero_percent_and_only_all_are_a_hundred(
    share: float, decimals: int, text: str
) -> None:
    assert percent(share, decimals) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.025, "2.5%"),
        (0.05, "5%"),
        (1 / 18, "5.56%"),
        (1e-5, "0.001%"),
        (0.5, "50%"),
        (1.0, "100%"),
    ],
)
def test_a_chosen_rate_has_three_significant_digits(rate: float, text: str) -> None:
    assert percent_of(rate) == text


def stderr_of(command: list[str], folder: Path) -> str:
    process = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return process.stderr
