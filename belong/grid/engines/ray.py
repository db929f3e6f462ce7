"""Cells as tasks of Ray, on a cluster if RAY_ADDRESS names one, else on this machine.

All machines need the repository's folder and DVC's cache under the same path.
"""

import signal
from typing import Any

import ray

from belong.grid.command import Command
from belong.grid.engines.contract import STOPPED


class OnRay:
    """Runs commands as tasks of Ray."""

    def __init__(self, *, threads: int) -> None:
        """Start Ray or join it; each command gets `threads` processors."""
        ours = signal.getsignal(signal.SIGTERM)
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="ERROR")
        signal.signal(signal.SIGTERM, ours)  # Ray's own ends the program without a word of it
        self._task: Any = ray.remote(num_cpus=threads, max_retries=0)(_call)
        self._stopped = False

    def run(self, command: Command) -> int:
        """Run a command."""
        if self._stopped:
            return STOPPED
        try:
            return int(ray.get(self._task.remote(command)))
        except ray.exceptions.RayError:
            return STOPPED

    def stop(self) -> None:
        """Leave Ray, which ends the tasks of those who leave."""
        self._stopped = True
        ray.shutdown()


def _call(command: Command) -> int:
    return command()
