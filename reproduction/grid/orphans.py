"""End processes whose parent has ended."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE_SECONDS = 5
STEP_SECONDS = 0.02


def end_processes_in(folder: Path) -> None:
    """End every process of this machine that works in `folder` or below it.

    The folder is what a killed driver, its worker and the worker's stage have in common: DVC does
    not end a stage that it started when it is killed itself.
    """
    processes = [
        process for process in psutil.process_iter() if _works_in(process, folder.resolve())
    ]
    for process in processes:
        _send(process.terminate)
    for process in _left_after(PATIENCE_SECONDS, processes):
        _send(process.kill)
    _left_after(PATIENCE_SECONDS, processes)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except (psutil.Error, OSError):  # another user's, or over already
        return False


def _left_after(seconds: float, processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Wait until all are over, for so long at most, and return those that are not.

    Nothing is reaped (as `psutil.wait_procs` does): a process that its parent, here, did not see
    end has the exit code 0 for it.
    """
    end = time.monotonic() + seconds
    while (left := [process for process in processes if not _is_over(process)]) and (
        time.monotonic() < end
    ):
        time.sleep(STEP_SECONDS)
    return left


def _is_over(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _send(signal: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        signal()
