"""Portable math: where it is in force, and which settings contradict it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from belong.models import device
from belong.runtime import portable_math
from belong.runtime.errors import InputError

# What a process computes with: torch's and NumPy's choice, and threads of NumPy's products.
CHOICE = """
import sys
from belong.runtime import portable_math
try:
    portable_math.request(sys.argv[1], threads=int(sys.argv[2]), say=print)
except Exception as error:
    print(error)
    sys.exit(2)
import numpy as np, torch, threadpoolctl
features = np._core._multiarray_umath.__cpu_features__
blas = threadpoolctl.ThreadpoolController().select(internal_api="openblas").info()
print(torch.backends.cpu.get_cpu_capability(), features["X86_V4"], blas[0]["num_threads"],
      blas[0]["architecture"], portable_math.current())
"""


def choice(
    math: str, *, threads: int = 1, environment: dict[str, str] | None = None
) -> tuple[int, list[str]]:
    """Return the exit code, and the lines of a process that asks for `math`."""
    names = {*portable_math.VARIABLES, *portable_math.THREAD_VARIABLES}
    clean = {name: value for name, value in os.environ.items() if name not in names}
    process = subprocess.run(
        [sys.executable, "-c", CHOICE, math, str(threads)],
        env=clean | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not process.stderr
    return process.returncode, process.stdout.splitlines()


def test_the_tests_themselves_compute_so() -> None:
    assert portable_math.current() == "portable"
    assert torch.backends.cpu.get_cpu_capability() == "AVX2"
    assert not np._core._multiarray_umath.__cpu_features__["X86_V4"]  # type: ignore[attr-defined]


@pytest.mark.pipeline
def test_the_libraries_take_the_code_that_all_have() -> None:
    assert choice("portable", threads=2) == (0, ["AVX2 False 2 Haswell portable"])


@pytest.mark.pipeline
def test_fast_leaves_the_choice_to_the_libraries_whatever_the_parent_had() -> None:
    code, (line,) = choice("fast", environment=portable_math.VARIABLES)
    assert code == 0
    assert line.endswith(" fast")


@pytest.mark.parametrize("name", portable_math.VARIABLES)
def test_a_variable_that_contradicts_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in portable_math.VARIABLES:
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(name, "other")
    monkeypatch.setattr(portable_math, "LIBRARIES", ())
    before = dict(os.environ)
    with pytest.raises(InputError, match=f"^{name}=other in the environment: expected "):
        portable_math.request("portable")
    assert before | {"OPENBLAS_NUM_THREADS": "1"} == dict(os.environ)


@pytest.mark.pipeline
def test_a_count_of_threads_in_the_environment_has_no_effect_and_this_is_said() -> None:
    environment = {"MKL_NUM_THREADS": "7", "OPENBLAS_NUM_THREADS": "5"}
    code, (mkl, openblas, line) = choice("portable", threads=2, environment=environment)
    assert code == 0
    assert mkl.startswith("MKL_NUM_THREADS=7 in the environment has no effect")
    assert openblas.startswith("OPENBLAS_NUM_THREADS=5 in the environment has no effect")
    assert line == "AVX2 False 2 Haswell portable"


def test_a_processor_without_avx2_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "cpuinfo"
    old.write_text("flags\t\t: fpu sse sse2 avx\n")
    monkeypatch.setattr(portable_math, "PROCESSORS", old)
    monkeypatch.setattr(portable_math, "LIBRARIES", ())
    with pytest.raises(InputError, match=r"^math: portable requires .* AVX2, .* fast$"):
        portable_math.request("portable")


def test_libraries_that_were_loaded_otherwise_cannot_compute_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MKL_CBWR")
    assert portable_math.current() == "fast"
    with pytest.raises(InputError, match=r"^math: portable .* BELONG_MATH=portable"):
        device.compute_repeatably(1, "portable")
    device.compute_repeatably(1, "fast")


def test_processors_of_another_kind_have_their_own_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert portable_math.current() == "fast"
    portable_math.check("portable")


def test_python_programs_ask_for_it_by_a_variable() -> None:
    program = "import belong; from belong.runtime import portable_math as m; print(m.current())"
    clean = {
        name: value for name, value in os.environ.items() if name not in portable_math.VARIABLES
    }
    for value, current in (("portable", "portable"), ("", "fast")):
        process = subprocess.run(
            [sys.executable, "-c", program],
            env=clean | {portable_math.VARIABLE: value},
            capture_output=True,
            text=True,
            check=True,
        )
        assert process.stdout == f"{current}\n"
