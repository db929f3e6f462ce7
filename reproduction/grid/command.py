"""Define a command for any engine: a command line, a folder, a log."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """The command that runs one cell.

    Attributes:
        words: a module, run with this Python, and its arguments.
        folder: the working folder.
        environment: variables to set besides the inherited ones.
        log: the file that receives all output.
    """

    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    log: Path

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it."""
        # The stages start `python` by name: it has to be this one, activated or not.
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        with self.log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", *self.words],
                cwd=self.folder,
                env={**os.environ, **self.environment, "PATH": programs},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __call__(self) -> int:
        """Run it and return its exit code."""
        return self.start().wait()
