"""Run one task in a separate process, to measure its time and memory.

`python -m benchmarks.alone ROW WHO --threads N --folder FOLDER [--quick]` prepares the row, says
that it is ready, waits for a line, does the work of WHO once (belong, a peer, or the size of a
growth), and says how long it took. The process that started it looks at its memory meanwhile.
"""

import argparse
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import psutil

from benchmarks.contract import Race, Setting, Work

READY = "ready"
LOOK_SECONDS = 0.02
BETWEEN_LOOKS = 30  # seconds of pause for each second that a measurement took


class FailedError(RuntimeError):
    """The process ended before its work was done."""


@dataclass(frozen=True)
class Alone:
    """What one work took: its time, and its memory in MiB."""

    seconds: float
    mib: float


def measure_alone(row: str, name: str, setting: Setting, *, turn: Lock) -> Alone:
    """Return the time and the peak memory of one work, of all its processes together.

    The memory is what the work takes on top of what is there when it begins: its inputs, and the
    libraries. Pages that processes share count once.

    Args:
        row: name of the row.
        name: OURS, a peer, other work of ours, or a size of a growth.
        setting: of the run.
        turn: held while the work is done. Processes may be prepared side by side, but threads of
            two that compute would wait for each other.

    Raises:
        FailedError: says what the process said.
    """
    words = [sys.executable, "-m", "benchmarks.alone", row, name]
    words += ["--threads", str(setting.threads), "--folder", str(setting.folder)]
    words += ["--quick"] if setting.quick else []
    with subprocess.Popen(  # noqa: S603  (our own module)
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin  # noqa: S101  (for mypy: all three are pipes)
        assert process.stdout  # noqa: S101
        assert process.stderr  # noqa: S101
        lines: list[str] = []
        errors = process.stderr
        reader = threading.Thread(target=lambda: lines.append(errors.read()))
        reader.start()
        started = process.stdout.readline().strip() == READY
        with turn:
            before = peak = memory_of(process.pid)
            if started:
                process.stdin.write("\n")
                process.stdin.flush()
            while process.poll() is None:
                start = time.perf_counter()
                peak = max(peak, memory_of(process.pid))
                looked = time.perf_counter() - start
                # Reading takes longer the more memory there is, and slows the process down.
                time.sleep(max(LOOK_SECONDS, BETWEEN_LOOKS * looked))
        reader.join()
        answer = process.stdout.read().strip()
    if not started or process.returncode:
        raise FailedError(f"{row}, {name}: {' '.join(lines).strip()[-2000:]}")
    return Alone(float(answer), (peak - before) / 2**20)


def memory_of(process: int) -> int:
    """Return the bytes of memory that a process and its children hold now."""
    try:
        top = psutil.Process(process)
        family = [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_own_memory(one) for one in family)


def _own_memory(process: psutil.Process) -> int:
    """Return the bytes that hold data, not code; shared bytes are divided among their processes."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup")  # Linux only
    try:
        if not rollup.exists():
            return int(process.memory_full_info().uss)
        lines = [line.split() for line in rollup.read_text(encoding="utf-8").splitlines()]
    except (psutil.Error, OSError):  # it has just ended
        return 0
    return sum(int(kib) << 10 for name, kib, *_ in lines if name in ("Pss_Anon:", "Pss_Shmem:"))


def work_of(row: str, name: str, setting: Setting) -> Work:
    """Prepare a row, and return the work of one contender."""
    from benchmarks.contract import OURS
    from benchmarks.registry import ROWS  # the rows import what starts this program

    prepared = ROWS[row](setting)
    if isinstance(prepared, Race):
        works = {OURS: prepared.ours, **prepared.also}
        return works[name] if name in works else prepared.peers[name].work
    once = prepared.work(int(name))
    return lambda _: once()


def main() -> None:
    """Prepare, say so, work, and say how long it took."""
    from benchmarks.threads import compute_with

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("row")
    parser.add_argument("name")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    compute_with(options.threads)
    work = work_of(
        options.row, options.name, Setting(options.quick, options.threads, options.folder)
    )
    print(READY, flush=True)  # noqa: T201
    sys.stdin.readline()
    start = time.perf_counter()
    work(0)
    print(time.perf_counter() - start)  # noqa: T201


if __name__ == "__main__":
    main()
