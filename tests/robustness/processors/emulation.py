"""Processes on this machine's processor, and on those that QEMU emulates."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from belong.runtime.errors import InputError
from belong.runtime.portable_math import FAST, PORTABLE, PROCESSORS, X86_64
from tests.imports import ROOT
from tests.robustness.processors.steps import RESULTS

QEMU = "qemu-x86_64"
# Of an emulator that computes AVX2's gathers wrongly, as QEMU 7.2 does, NumPy's argsort is wrong.
SORTS = "import numpy as np; x = np.arange(99)[::-1]; assert (x[np.argsort(x)] == x[::-1]).all()"
PROGRAM = Path(__file__).with_name("process.py")


@dataclass(frozen=True)
class Processor:
    """A processor, and how a process on it computes.

    Attributes:
        name: QEMU's name of the model.
        maker: who makes it.
        is_emulated: whether it is not this machine's own.
        math: "portable" or "fast".
        threads: of torch, NumPy and SciPy.
    """

    name: str
    maker: str
    is_emulated: bool = True
    math: str = PORTABLE
    threads: int = 1


@dataclass(frozen=True)
class Run:
    """What a process computed.

    Attributes:
        processor: where.
        chosen_code: library -> the code that it chose for the processor.
        seconds: that each step took.
        digests: SHA-256 of each array and file.
    """

    processor: Processor
    chosen_code: Mapping[str, str]
    seconds: Mapping[str, float]
    digests: Mapping[str, str]


HASWELL = Processor("Haswell-v4", "Intel")
ROME = Processor("EPYC-Rome-v2", "AMD")
EMULATED = (
    HASWELL,
    Processor("Skylake-Client-v4", "Intel"),
    ROME,
    Processor("EPYC-Milan-v1", "AMD"),
    Processor("Dhyana-v2", "Hygon"),
)
MAKERS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon"}


def native(*, math: str = PORTABLE, threads: int = 1) -> Processor:
    """Return this machine's processor.

    Raises:
        InputError: it is not of the kind that is compared.
    """
    if platform.machine() not in X86_64:
        raise InputError(f"expected an x86-64 processor to compare with, got {platform.machine()}")
    facts: dict[str, str] = {}
    for line in PROCESSORS.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    maker = MAKERS.get(facts.get("vendor_id", ""), facts.get("vendor_id", "unknown"))
    return Processor(facts.get("model name", "unknown"), maker, False, math, threads)


def compared(native_processor: Processor, *, is_short: bool) -> list[Processor]:
    """Return this machine's processor and those to compare it with.

    The short form has one of another maker. The long one has as well what portable math is
    for, and more threads.
    """
    if is_short:
        return [native_processor, HASWELL if native_processor.maker != HASWELL.maker else ROME]
    return [
        native_processor,
        *EMULATED,
        native(threads=2),
        native(math=FAST),
        *(Processor(one.name, one.maker, math=FAST) for one in (HASWELL, ROME)),
    ]


def check_emulator() -> str:
    """Return QEMU's version.

    Raises:
        InputError: it is not installed, or computes wrongly.
    """
    if shutil.which(QEMU) is None:
        raise InputError(f"{QEMU} is not installed; `apt-get install qemu-user` brings it")
    output = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    version = output.split()[2]
    words = [QEMU, "-cpu", HASWELL.name, sys.executable, "-c", SORTS]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        raise InputError(
            f"{QEMU} {version} computes AVX2's gathers wrongly; expected a newer one, such as 10.0 "
            f"of Debian 13 or of Debian 12's backports"
        )
    return version


def run(processor: Processor, inputs: Path, outputs: Path, *, is_short: bool) -> Run:
    """Compute on a processor, in the new folder `outputs`.

    Raises:
        RuntimeError: the process failed.
    """
    emulator = [QEMU, "-cpu", processor.name] if processor.is_emulated else []
    outputs.mkdir()
    length = "short" if is_short else "long"
    arguments = [length, processor.math, str(processor.threads), str(inputs), str(outputs)]
    process = subprocess.run(
        [*emulator, sys.executable, str(PROGRAM), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "BELONG_CACHE": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"{processor.name}: {process.stdout}{process.stderr}")
    results = json.loads((outputs / RESULTS).read_text(encoding="utf-8"))
    return Run(processor=processor, **results)


def run_all(
    processors: Sequence[Processor],
    inputs: Path,
    folder: Path,
    say: Callable[[str], None],
    *,
    is_short: bool,
) -> list[Run]:
    """Compute on each processor, as many at a time as there are cores."""

    def on(numbered: tuple[int, Processor]) -> Run:
        number, processor = numbered
        result = run(processor, inputs, folder / f"{number}", is_short=is_short)
        say(f"{processor.name}, {processor.math}: {sum(result.seconds.values()):.0f} s")
        return result

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(on, enumerate(processors)))
