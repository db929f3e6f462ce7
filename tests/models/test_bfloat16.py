"""bfloat16: what it computes, and where it is refused."""

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

CHECK = "import torch, belong.models.inference as one; one.check_dtype(torch.bfloat16)"


def has_bfloat16() -> bool:
    """Return whether the processor has what torch needs for bfloat16: AVX-512."""
    return "avx512bw" in portable_math.PROCESSORS.read_text().split()


def in_fast_math(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: x for name, x in os.environ.items() if name not in portable_math.VARIABLES}
    return subprocess.run(
        [sys.executable, *words],
        env=environment | {portable_math.VARIABLE: portable_math.FAST},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.pipeline
def test_bfloat16_in_fast_math() -> None:
    words = ["-q", "-n", "0", "-p", "no:cacheprovider", "-k", "bfloat16", *map(str, PROGRAMS)]
    if not has_bfloat16():
        why = "this processor has no bfloat16"
        process = in_fast_math("-c", CHECK)
        assert process.stderr.endswith(f"dtype: bfloat16: {why}; expected float32\n")
        pytest.skip(why)
    process = in_fast_math("-m", "pytest", *words)
    assert process.returncode == 0, process.stdout
    assert "5 passed" in process.stdout


def test_portable_math_has_none_of_it() -> None:
    why = "math: portable is limited to AVX2, which has no bfloat16"
    expected = f"dtype: bfloat16: {why}; expected float32"
    with pytest.raises(InputError) as error:
        check_dtype(torch.bfloat16)
    assert str(error.value) == expected
