"""Numbers of 16 bits: what they compute, and where they are refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from belong.models.inference import check_dtype
from belong.runtime import portable_math
from belong.runtime.errors import InputError
from tests.imports import ROOT

PROGRAMS = (
    Path(__file__).with_name("bfloat16_in_fast_math.py"),
    ROOT / "tests" / "project" / "test_benchmark_rows.py",
)


def test_what_is_computed_in_fast_math() -> None:
    words = ["-q", "-n", "0", "-p", "no:cacheprovider", "-k", "bfloat16", *map(str, PROGRAMS)]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        env=os.environ | {portable_math.VARIABLE: portable_math.FAST},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "5 passed" in ended.stdout


def test_portable_math_has_none_of_it() -> None:
    why = "math: portable is limited to AVX2, which has no bfloat16"
    expected = f"dtype: bfloat16: {why}; expected float32"
    with pytest.raises(InputError) as refused:
        check_dtype(torch.bfloat16)
    assert str(refused.value) == expected
