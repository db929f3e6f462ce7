"""Run cells as processes of this machine."""

from pathlib import Path
from threading import Lock

from reproduction.grid.command import Command
from reproduction.grid.engines.base import STOPPED
from reproduction.grid.orphans import end_processes_in


class Local:
    """Runs commands here."""

    def __init__(self, place: Path) -> None:
        """Take the folder below which all of the commands run."""
        self._place = place
        self._starting = Lock()
        self._stopped = False

    def run(self, command: Command) -> int:
        """Run a command."""
        with self._starting:  # so that none starts unseen while others are ended
            if self._stopped:
                return STOPPED
            process = command.start()
        return process.wait()

    def stop(self) -> None:
        """End the commands and the stages that they started."""
        with self._starting:
            self._stopped = True
            end_processes_in(self._place)
