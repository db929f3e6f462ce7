"""Run one cell in a clone, outside the user's files.

Each cell runs in its own clone. DVC offers `exp run --temp` for this, but that first writes the new
parameters into the user's params.yaml and removes them with `git reset --hard`. Moreover, all
experiments of a repository share one stash, and the first to finish may pick up what another has
just put there. A clone takes a tenth of a second, a killed run leaves nothing but a folder, and
all cells run from the same commit, whatever the user does in the meantime.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from configobj import ConfigObj

from reproduction.grid.cells import Cell, Values, assignments
from reproduction.grid.command import Command
from reproduction.grid.engines.base import Engine, WorkerLostError
from reproduction.grid.freshness import TARGET
from reproduction.grid.orphans import end_processes_in
from reproduction.grid.repository import Repository

ATTEMPTS = 3  # of a cell whose worker is lost


def cache_of(root: Path) -> Path:
    """Return the folder of DVC's cache."""
    from dvc.repo import Repo  # not at the top: it takes a second

    with Repo(str(root)) as repo:
        return Path(repo.cache.local_cache_dir)


class CellError(Exception):
    """Why a cell has no result, in one line."""


@dataclass(frozen=True)
class Workshop:
    """What all cells share.

    Attributes:
        repository: the one that receives the experiments.
        commit: what they start from.
        cache: DVC's cache, through which a cell reuses the results of earlier ones.
        place: a folder for the clones, empty except for the running ones.
        logs: a folder for the output of DVC and the stages, a file for each cell.
        engine: runs the commands.
    """

    repository: Repository
    commit: str
    cache: Path
    place: Path
    logs: Path
    engine: Engine

    def log_of(self, cell: Cell) -> Path:
        """Return the path of a cell's log."""
        return self.logs / f"{cell.name}.log"

    def run(self, cell: Cell, pair: Values) -> None:
        """Run the experiment of a cell; start again if the engine loses the worker.

        Raises:
            CellError: DVC or a stage failed (the log says why), or too many workers were lost.
        """
        for _ in range(ATTEMPTS):
            with self._clone(cell.name) as folder:
                try:
                    return self._run_in(folder, cell, pair)
                except WorkerLostError as error:
                    last_error = error
                    end_processes_in(folder)  # what the worker had started
        raise CellError(f"{ATTEMPTS} workers were lost; the last one: {last_error}")

    def _run_in(self, folder: Path, cell: Cell, pair: Values) -> None:
        settings = assignments(cell.settings(pair))
        command = Command(
            words=(
                *("dvc", "exp", "run", "--name", cell.name),
                *(word for setting in settings for word in ("--set-param", setting)),
                TARGET,
            ),
            folder=folder,
            environment=self.repository.identity(),
            log=self.log_of(cell),
        )
        code = self.engine.run(command)
        if code != 0:
            raise CellError(_failure(self.log_of(cell), code))
        self.repository.take(folder, cell.name, self.commit)

    @contextmanager
    def _clone(self, name: str) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.place))
        try:
            self.repository.git(
                "clone",
                "--quiet",
                "--shared",
                "--no-checkout",
                str(self.repository.root),
                str(folder),
            )
            Repository(folder).git("checkout", "--quiet", "--detach", self.commit)
            configuration = ConfigObj(str(folder / ".dvc" / "config.local"))
            # Links: a cell's images and features are some hundred MB, and stay in the cache.
            configuration["cache"] = {"dir": str(self.cache), "type": "hardlink,symlink,copy"}
            # Else DVC leaves a folder for every clone in a place of the whole machine.
            configuration["core"] = {"site_cache_dir": str(folder / ".dvc" / "tmp")}
            configuration.write()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _failure(log: Path, code: int) -> str:
    """Return the last line of the stage that failed, or the exit code if it printed none."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    for line, following in pairwise(lines):
        if following.startswith("ERROR: failed to reproduce") and not line.startswith(">"):
            return line
    return f"ended with code {code}"
