"""Which cells are finished: an experiment of that name has the wanted parameters and code."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML

from belong.grid.cells import Cell, Values, changed
from belong.grid.repository import Experiment, Repository

PARAMS = "params.yaml"
PIPELINES = ("dvc.yaml", "data/dvc.yaml")


class Currency:
    """Tells experiments of the present code and parameters from those of earlier ones."""

    def __init__(self, repository: Repository, commit: str, pairs: Mapping[str, Values]) -> None:
        """Compare with the code and the parameters of `commit`, and what the pairs set."""
        self.repository = repository
        self.commit = commit
        self._pairs = pairs
        files = repository.files(commit)
        self.params: dict[str, Any] = _yaml(repository.text(files[PARAMS]))
        self.code = code(repository, files)

    def edited(self) -> list[str]:
        """Return the files of parameters and code that differ from what is committed."""
        used = {PARAMS, *PIPELINES, *(file for _, files in self.code.values() for file in files)}
        return [path for path in self.repository.changes() if path in used]

    def finished(self, cells: Iterable[Cell]) -> dict[Cell, Experiment]:
        """Return the cells that need no run, each with its experiment."""
        wanted = {cell.name: cell for cell in cells}
        found: dict[Cell, Experiment] = {}
        for experiment in self.repository.experiments():
            cell = wanted.get(experiment.name)
            if cell and cell not in found and self._is_current(experiment, cell):
                found[cell] = experiment
        return found

    def _is_current(self, experiment: Experiment, cell: Cell) -> bool:
        files = self.repository.files(experiment.commit)
        if PARAMS not in files or code(self.repository, files) != self.code:
            return False
        params = changed(self.params, cell.settings(self._pairs[cell.pair]))
        return bool(_yaml(self.repository.text(files[PARAMS])) == params)


def code(repository: Repository, files: Mapping[str, str]) -> dict[str, Any]:
    """Return what makes the results, but for parameters and images.

    That is each stage's command and the content of each file of code that it depends on. A new
    comment in dvc.yaml changes nothing, nor does a file that no stage depends on.
    """
    found = {}
    for pipeline in PIPELINES:
        stages = _yaml(repository.text(files[pipeline]))["stages"] if pipeline in files else {}
        for name, entry in stages.items():
            stage = entry.get("do", entry)  # below `foreach`, the stage itself
            deps = [dep for dep in stage.get("deps", []) if str(dep).endswith(".py")]
            found[f"{pipeline}:{name}"] = stage["cmd"], {dep: files.get(dep) for dep in deps}
    return found


@functools.lru_cache(maxsize=10_000)
def _yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)
