"""Make every x86-64 processor with AVX2 compute the same bytes.

The math libraries choose their code path by the processor, and each code path sums in its own
order. The environment variables below select the code path that every processor with AVX2 has. The
libraries read the variables once, when they are loaded, so call `request` before `import numpy`.
"""

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from belong.runtime.errors import InputError

PORTABLE, FAST = "portable", "fast"
# Read when belong is imported: "portable" in programs that call it from Python.
VARIABLE = "BELONG_MATH"
# By experiment: MKL's AVX2 code on AMD processors differs from its AVX2 code on Intel processors.
VARIABLES = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # torch's convolutions
    "MKL_CBWR": "COMPATIBLE",  # torch's products and decompositions
    "OPENBLAS_CORETYPE": "Haswell",  # those of NumPy and SciPy
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # NumPy's own loops
}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LIBRARIES = ("numpy", "torch", "scipy")
X86_64 = ("x86_64", "AMD64")
PROCESSORS = Path("/proc/cpuinfo")


def request(math: str, *, threads: int = 1, say: Callable[[str], None] | None = None) -> None:
    """Select the math mode of the libraries, in this process and in its children.

    The call has no effect once the libraries are loaded; `check` then reports the mode. Other types
    of processors have a single code path, and results of their own.

    Args:
        math: "portable" or "fast".
        threads: threads of NumPy's and SciPy's products; `belong.models.device.compute_repeatably`
            sets the threads of torch.
        say: prints a line for each environment variable that `threads` overrides.

    Raises:
        InputError: an environment variable contradicts "portable", or the processor has no AVX2.
    """
    if any(name in sys.modules for name in LIBRARIES):
        return
    for name in THREAD_VARIABLES:
        value = os.environ.get(name, str(threads))
        if value != str(threads) and say:
            say(
                f"{name}={value} in the environment has no effect: the parameter threads is "
                f"{threads}"
            )
    os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    if platform.machine() not in X86_64:
        return
    if math == PORTABLE:
        _refuse_old_processors()
        for name, value in VARIABLES.items():
            if (other := os.environ.get(name, value)) != value:
                raise InputError(
                    f"{name}={other} in the environment: expected {value!r} or unset, because the "
                    f"parameter math is portable; unset it or set math: fast"
                )
        os.environ.update(VARIABLES)
    elif current() == PORTABLE:  # inherited from a parent process
        for name in VARIABLES:
            del os.environ[name]


def current() -> str:
    """Return the math mode of this process: "portable" or "fast"."""
    is_x86 = platform.machine() in X86_64
    is_set = all(os.environ.get(name) == value for name, value in VARIABLES.items())
    return PORTABLE if is_x86 and is_set else FAST


def check(math: str) -> None:
    """Refuse "portable" if the libraries were loaded in the mode "fast".

    Raises:
        InputError: the libraries are in the mode "fast" on an x86-64 processor.
    """
    if math == PORTABLE != current() and platform.machine() in X86_64:
        raise InputError(
            f"math: portable has to be set before NumPy and torch are loaded; start Python with "
            f"{VARIABLE}=portable in its environment, or set math: fast"
        )


def _refuse_old_processors() -> None:
    try:
        features = PROCESSORS.read_text(encoding="ascii", errors="replace")
    except OSError:  # not Linux
        return
    if "flags" in features and "avx2" not in features.split():
        raise InputError(
            "math: portable requires a processor with AVX2, which this one lacks; set math: fast"
        )
