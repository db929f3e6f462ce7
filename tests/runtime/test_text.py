"""Lines on standard error begin with the program's name; shares are formatted in percent."""

import math
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
    ("share", "text"),
    [
        (0.0, "0%"), (1e-9, "<0.0001%"), (1e-6, "0.0001%"), (7 / 10_000, "0.07%"),
        (0.00141, "0.14%"), (4 / 1009, "0.4%"), (0.0191, "1.9%"), (0.06, "6%"), (1 / 3, "33%"),
        (0.5, "50%"), (0.996, "99.6%"), (0.9993, "99.93%"), (1 - 1e-9, ">99.9999%"), (1.0, "100%"),
        (-0.2, "-20%"), (math.nan, "nan%"),
    ],
)  # fmt: skip
def test_a_measured_share_has_two_digits_that_tell_it_from_none_and_from_all(
    share: float, text: str
) -> None:
    assert percent(share) == text


def test_a_share_beside_a_limit_has_three_digits() -> None:
    assert [percent(share, 3) for share in (0.0191, 0.019, 0.1444)] == ["1.91%", "1.9%", "14.4%"]


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
