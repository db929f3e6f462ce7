"""Run cells as jobs of Slurm, with submitit.

All machines need the repository's folder and DVC's cache under the same path. Partition, account
and the like come from the variables that `sbatch` reads itself, SBATCH_PARTITION and so on.
"""

from pathlib import Path
from threading import Lock
from typing import Any

import submitit

from belong.runtime.errors import InputError
from reproduction.grid.command import Command
from reproduction.grid.engines.base import STOPPED, WorkerLostError

LIMIT_MINUTES = 24 * 60


class OnSlurm:
    """Runs commands as jobs of Slurm, or of another `cluster` that submitit knows."""

    def __init__(self, logs: Path, *, threads: int, cluster: str = "slurm") -> None:
        """Look for Slurm; each command gets `threads` processors."""
        try:
            self._executor = submitit.AutoExecutor(folder=logs / "slurm", cluster=cluster)
        except RuntimeError as error:
            raise InputError(f"--engine slurm: {error}") from None
        self._executor.update_parameters(
            name="belong", cpus_per_task=threads, timeout_min=LIMIT_MINUTES
        )
        self._jobs: list[Any] = []
        self._starting = Lock()
        self._stopped = False

    def run(self, command: Command) -> int:
        """Run a command.

        Raises:
            InputError: Slurm rejects the job.
            WorkerLostError: the job ended before the command did.
        """
        with self._starting:
            if self._stopped:
                return STOPPED
            try:
                job = self._executor.submit(command)
            except submitit.core.utils.FailedJobError as error:  # what sbatch says
                raise InputError(f"--engine slurm: {str(error).strip().splitlines()[-1]}") from None
            self._jobs.append(job)
        try:
            code = int(job.result())
        except submitit.core.utils.UncompletedJobError as error:
            if self._stopped:
                return STOPPED
            raise WorkerLostError(str(error).splitlines()[0]) from None
        return STOPPED if self._stopped else code  # a cancelled job may report 0

    def stop(self) -> None:
        """Cancel the jobs."""
        with self._starting:
            self._stopped = True
            for job in self._jobs:
                job.cancel(check=False)
