"""Find finished cells: experiments with the same code, images and parameters."""

import ast
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from reproduction.grid.cells import Cell, Values, changed
from reproduction.grid.repository import Experiment, Repository

PARAMS = "params.yaml"
PIPELINE = "dvc.yaml"
LOCK = "dvc.lock"
# The stage that a cell is run up to: what comes after it draws, and no table needs it.
TARGET = "evaluate"
# What it makes is one word for all valid parameters.
CHECKS = {"check_params"}
# The folders of code that stages depend on; their other folders hold data.
WINGS = "belong/"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Currency:
    """Tells experiments with the present code, parameters and images from earlier ones."""

    def __init__(self, repository: Repository, commit: str, pairs: Mapping[str, Values]) -> None:
        """Compare with the code, parameters and images of `commit`, and the pairs' settings."""
        self.repository = repository
        self.commit = commit
        self._pairs = pairs
        self._files = files = repository.files(commit)
        self.params: dict[str, Any] = _yaml(repository.text(files[PARAMS]))
        self.stages: dict[str, Any] = _stages(repository, files)
        self._keys = keys_read(self.stages)
        self.code = code(repository, files)

    def last_run(self) -> dict[str, Any]:
        """Return the entry of each stage in dvc.lock; none before the first run."""
        outputs: dict[str, Any] = {}
        if LOCK in self._files:
            outputs = _yaml(self.repository.text(self._files[LOCK]))["stages"]
        return outputs

    def edited(self) -> list[str]:
        """Return the files of parameters and code that differ from what is committed."""
        files_in_use = {
            PARAMS,
            PIPELINE,
            *(file for _, files in self.code.values() for file in files),
        }
        return [path for path in self.repository.changes() if path in files_in_use]

    def finished(self, cells: Iterable[Cell]) -> dict[Cell, Experiment]:
        """Return the cells that need no run, each with its experiment."""
        cell_of = {cell.name: cell for cell in cells}
        experiments: dict[Cell, Experiment] = {}
        for experiment in self.repository.experiments():
            cell = cell_of.get(experiment.name)
            if cell and cell not in experiments and self._is_current(experiment, cell):
                experiments[cell] = experiment
        return experiments

    def fingerprint(self, cell: Cell) -> str:
        """Return the SHA-256 of all that determines a cell's results, in the present commit."""
        params = changed(self.params, cell.settings(self._pairs[cell.pair]))
        made_from = [self._code_and_images(cell.pair), picked(params, self._keys)]
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()

    @functools.cache  # noqa: B019  (one object for each run of the program)
    def _code_and_images(self, pair: str) -> list[Any]:
        folders = data_sets(self.stages, changed(self.params, self._pairs[pair]))
        images = fetched(self.repository, self._files, folders)
        return [self.code, kept(self._files, folders), images]

    def _is_current(self, experiment: Experiment, cell: Cell) -> bool:
        files = self.repository.files(experiment.commit)
        if not {PARAMS, PIPELINE} <= set(files) or code(self.repository, files) != self.code:
            return False
        params = changed(self.params, cell.settings(self._pairs[cell.pair]))
        ran_with = _yaml(self.repository.text(files[PARAMS]))
        if picked(ran_with, self._keys) != picked(params, self._keys):
            return False
        folders = data_sets(_stages(self.repository, files), params)
        if kept(files, folders) != kept(self._files, folders):
            return False
        then = fetched(self.repository, files, folders)
        # Before the first run nothing here knows what will be fetched: nothing to compare with.
        now = fetched(self.repository, self._files, folders)
        return all(then.get(folder) == content for folder, content in now.items())


def keys_read(stages: Mapping[str, Any]) -> set[str]:
    """Return the keys of params.yaml that the stages up to TARGET read, as `calibration.alpha`.

    A new key that none of them reads makes no result stale, nor does a key that only a figure uses.
    """
    names_of_stages = upstream(stages, TARGET)
    read = (key for name in names_of_stages - CHECKS for key in stages[name].get("params", []))
    return {*read, *(key for name in names_of_stages for key in _filled_in(stages[name]))}


def picked(params: Values, keys: Iterable[str]) -> dict[str, Any]:
    """Return the value of each dotted key that is there."""
    values = {}
    for key in keys:
        value: Any = params
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                break
            value = value[part]
        else:
            values[key] = value
    return values


def data_sets(stages: Mapping[str, Any], params: Values) -> list[str]:
    """Return the folders of images that the stages up to TARGET read, `${normal.path}` in them."""
    named = {key for name in upstream(stages, TARGET) for key in _filled_in(stages[name])}
    return sorted({str(value) for value in picked(params, named).values()})


def kept(files: Mapping[str, str], folders: Iterable[str]) -> dict[str, str]:
    """Return the content of each image in the folders that git keeps, and of their .dvc files."""
    inside = [PurePosixPath(folder) for folder in folders]
    pointers = {f"{place}.dvc" for folder in inside for place in (folder, *folder.parents)}
    return {
        path: content
        for path, content in files.items()
        if path in pointers or any(PurePosixPath(path).is_relative_to(one) for one in inside)
    }


def fetched(
    repository: Repository, files: Mapping[str, str], folders: Iterable[str]
) -> dict[str, str]:
    """Return the sums of those folders that a stage below the top folder makes: data/dvc.yaml."""
    outs = [
        out
        for path, content in files.items()
        if path.endswith(f"/{LOCK}")
        for stage in _yaml(repository.text(content))["stages"].values()
        for out in stage.get("outs", [])
    ]
    return {out["path"]: out["md5"] for out in outs if out["path"] in set(folders)}


def code(repository: Repository, files: Mapping[str, str]) -> dict[str, Any]:
    """Return all that determines the results except parameters and images.

    That is the command of each stage up to TARGET, and the statements of each code file that it
    depends on: the files that it lists, and those below the folders. A new comment, docstring or
    figure changes nothing.
    """
    stages = _stages(repository, files)
    return {
        name: [
            stages[name]["cmd"],
            {
                path: content and _statements(repository, path, content)
                for path, content in code_of(stages[name], files).items()
            },
        ]
        for name in upstream(stages, TARGET)
        if name not in CHECKS
    }


def code_of(stage: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, str | None]:
    """Return the content of each file of code that a stage lists, or that is below a wing."""
    listed = _listed(stage)
    hashes = {dep: files.get(dep) for dep in listed if dep.endswith(".py")}
    folders = [PurePosixPath(dep) for dep in listed if dep.startswith(WINGS) and dep not in hashes]
    return hashes | {
        path: content
        for path, content in files.items()
        if any(folder in PurePosixPath(path).parents for folder in folders)
    }


def _statements(repository: Repository, path: str, content: str) -> str:
    """Return a hash of a module without comments and docstrings, or `content` of another file."""
    return _hash_of(repository.text(content)) if path.endswith(".py") else content


@functools.lru_cache(maxsize=10_000)
def _hash_of(module: str) -> str:
    tree = ast.parse(module)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body[0] = ast.Pass()
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def upstream(stages: Mapping[str, Any], target: str) -> set[str]:
    """Return the names of the stages that `target` needs, directly or not, and its own."""
    names_of_stages, todo = set[str](), [target]
    while todo:
        name = todo.pop()
        names_of_stages.add(name)
        inputs = set(_listed(stages[name]))
        for other, stage in stages.items():
            listed = [*stage.get("outs", []), *stage.get("metrics", [])]
            outputs = [out if isinstance(out, str) else next(iter(out)) for out in listed]
            if other not in names_of_stages and inputs.intersection(outputs):
                todo.append(other)
    return names_of_stages


def _stages(repository: Repository, files: Mapping[str, str]) -> Any:
    return _yaml(repository.text(files[PIPELINE]))["stages"]


def _filled_in(stage: Mapping[str, Any]) -> list[str]:
    """Return the keys of params.yaml whose values are dependencies, `${normal.path}`."""
    return re.findall(r"\$\{([\w.]+)\}", " ".join(_listed(stage)))


def _listed(stage: Mapping[str, Any]) -> list[str]:
    return list(stage.get("deps", []))


@functools.lru_cache(maxsize=10_000)
def _yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)
