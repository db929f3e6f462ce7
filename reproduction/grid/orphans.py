"""End processes whose parent has ended."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE_SECONDS = 5
STEP_SECONDS = 0.02


def end_processes_in(folder: Path) -> None:
    """End every process of this machine whose working folder is `folder` or below it.

    When DVC is killed, the stage that it started keeps running; its working folder is what links it
    to the killed driver.
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
    """Wait at most `seconds` for the processes to end, and return those that have not.

    Unlike `psutil.wait_procs`, this reaps nothing: `subprocess` reports exit code 0 for a child of
    this process that something else has reaped.
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
