"""Define the interface of an engine: it runs commands, in parallel from several threads."""

from typing import Protocol

from reproduction.grid.command import Command

STOPPED = -1


class WorkerLostError(Exception):
    """The worker that ran a command ended before the command did."""


class Engine(Protocol):
    """A place to compute."""

    def run(self, command: Command) -> int:
        """Run a command, wait for it, return its exit code; after `stop`, return STOPPED.

        Raises:
            WorkerLostError: what ran the command was killed, and not by `stop`.
        """

    def stop(self) -> None:
        """End what is running, and run nothing more."""
