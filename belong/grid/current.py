"""Which cells are finished: an experiment of that name has the wanted parameters and code."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML

from belong.grid.cells import Cell, Values, changed
from belong.grid.repository import Experiment, Repository

PARAMS = "params.yaml"
PIPELINE = "dvc.yaml"
# The stage that a cell is run up to: what comes after it draws, and no table needs it. The images
# are fetched by data/dvc.yaml, which compares them with their published sums.
TARGET = "evaluate"
# What it makes is one word for all valid parameters.
CHECKS = {"check_params"}


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
        used = {PARAMS, PIPELINE, *(file for _, files in self.code.values() for file in files)}
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
        if not {PARAMS, PIPELINE} <= set(files) or code(self.repository, files) != self.code:
            return False
        params = changed(self.params, cell.settings(self._pairs[cell.pair]))
        return bool(_yaml(self.repository.text(files[PARAMS])) == params)


def code(repository: Repository, files: Mapping[str, str]) -> dict[str, Any]:
    """Return what makes the results, but for parameters and images.

    That is the command of each stage up to TARGET, and the content of each file of code that it
    depends on. A new comment in dvc.yaml changes nothing, nor does a new figure.
    """
    stages = _yaml(repository.text(files[PIPELINE]))["stages"]
    return {
        name: (stages[name]["cmd"], {dep: files.get(dep) for dep in _listed(stages[name], ".py")})
        for name in upstream(stages, TARGET)
        if name not in CHECKS
    }


def upstream(stages: Mapping[str, Any], target: str) -> set[str]:
    """Return the names of the stages that `target` needs, directly or not, and its own."""
    needed, todo = set[str](), [target]
    while todo:
        name = todo.pop()
        needed.add(name)
        wanted = set(_listed(stages[name]))
        for other, stage in stages.items():
            listed = [*stage.get("outs", []), *stage.get("metrics", [])]
            made = [out if isinstance(out, str) else next(iter(out)) for out in listed]
            if other not in needed and wanted.intersection(made):
                todo.append(other)
    return needed


def _listed(stage: Mapping[str, Any], ending: str = "") -> list[str]:
    return [dep for dep in stage.get("deps", []) if dep.endswith(ending)]


@functools.lru_cache(maxsize=10_000)
def _yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)
