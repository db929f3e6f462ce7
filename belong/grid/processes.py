"""Processes that outlived the one that started them."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE_SECONDS = 5


def end_processes_in(folder: Path) -> None:
    """End every process of this machine that works in `folder` or below it.

    The folder is what a killed driver, its worker and the worker's stage have in common: DVC does
    not end a stage that it started when it is killed itself.
    """
    found = [process for process in psutil.process_iter() if _works_in(process, folder.resolve())]
    for process in found:
        _send(process.terminate)
    _, left = psutil.wait_procs(found, timeout=PATIENCE_SECONDS)
    for process in left:
        _send(process.kill)
    psutil.wait_procs(left, timeout=PATIENCE_SECONDS)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except (psutil.Error, OSError):  # another user's, or over already
        return False


def _send(signal: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        signal()
