"""Define the interface of an engine, which runs commands; several threads may use it at once."""

from typing import Protocol

from reproduction.grid.command import Command

STOPPED = -1


class WorkerLostError(Exception):
    """The worker that ran a command ended before the command did."""


class Engine(Protocol):
    """Runs commands on some machine."""

    def run(self, command: Command) -> int:
        """Run a command, wait for it, return its exit code; after `stop`, return STOPPED.

        Raises:
            WorkerLostError: the worker was killed, but not by `stop`.
        """

    def stop(self) -> None:
        """End the running commands, and start no more."""
