"""Idle threads of torch and NumPy sleep early."""

import os
import subprocess
import sys

import pytest

from belong.runtime.idle_threads import SETTINGS

PROGRAM = "import belong, os; print(*(os.environ[name] for name in {}))"


@pytest.mark.parametrize("preset", [None, "7"])
def test_import_belong_sets_the_variables_that_are_not_set(preset: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment |= dict.fromkeys(SETTINGS, preset) if preset else {}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(list(SETTINGS))],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert process.stdout.split() == (
        [preset] * len(SETTINGS) if preset else list(SETTINGS.values())
    )


def test_the_libraries_are_not_loaded_before_the_variables_are_set() -> None:
    program = "import belong, sys; print({'numpy', 'torch'} & sys.modules.keys() or 'none')"
    output = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert output.stdout.strip() == b"none"
