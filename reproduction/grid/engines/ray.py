"""Run cells as tasks of Ray, on the cluster of RAY_ADDRESS or on this machine.

All machines need the repository's folder and DVC's cache under the same path.
"""

import logging
from threading import Lock
from typing import Any

import ray

from reproduction.grid.command import Command
from reproduction.grid.engines.base import STOPPED, WorkerLostError


class OnRay:
    """Runs commands as tasks of Ray."""

    def __init__(self, *, threads: int) -> None:
        """Start Ray or join it; each command gets `threads` processors."""
        ray.init(
            log_to_driver=False,
            include_dashboard=False,
            logging_level=logging.ERROR,
            ignore_reinit_error=True,
        )
        self._task: Any = ray.remote(num_cpus=threads, max_retries=0)(_call)
        self._results: list[Any] = []
        self._starting = Lock()
        self._stopped = False

    def run(self, command: Command) -> int:
        """Run a command.

        Raises:
            WorkerLostError: the worker ended before the command did.
        """
        with self._starting:
            if self._stopped:
                return STOPPED
            result = self._task.remote(command)
            self._results.append(result)
        try:
            return int(ray.get(result))
        except ray.exceptions.RayError as error:
            if self._stopped:
                return STOPPED
            raise WorkerLostError(str(error).splitlines()[-1]) from None

    def stop(self) -> None:
        """Cancel the tasks."""
        with self._starting:
            self._stopped = True
            for result in self._results:
                ray.cancel(result, force=True)


def _call(command: Command) -> int:
    return command()
