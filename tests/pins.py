"""The requirements of a project, with all indirect ones, and the versions that a file pins.

It reads the installed packages only; it uses no index and no advisory service.
"""

import importlib.metadata
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def declared(pyproject: Path) -> list[Requirement]:
    """Return what a pyproject.toml asks for, with all its extras; they may name each other."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras: Iterable[list[str]] = project.get("optional-dependencies", {}).values()
    dependencies = [*project["dependencies"], *(one for extra in extras for one in extra)]
    requirements = map(Requirement, dependencies)
    return [one for one in requirements if one.name != project["name"]]


def needed_packages(requirements: Iterable[Requirement]) -> dict[str, str]:
    """Return the name of each package that they need here -> the version that is installed.

    What is not installed is an extra that nobody asked for: it is named, with no version, and
    what it needs is not known.
    """
    versions: dict[str, str] = {}
    todo = [(one, extra) for one in requirements for extra in ("", *one.extras)]
    visited = set[tuple[str, str]]()
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in visited:
            continue
        visited.add((name, extra))
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = ""
            continue
        versions[name] = package.version
        for line in package.requires or []:
            further = Requirement(line)
            if further.marker is None or further.marker.evaluate({"extra": extra}):
                todo += [(further, one) for one in ("", *further.extras)]
    return versions


def pinned(constraints: Path) -> dict[str, str]:
    """Return name -> version of a file of constraints; the version is "" if it is not exact."""
    pins: dict[str, str] = {}
    for line in constraints.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("--constraint "):
            pins |= pinned(constraints.parent / line.removeprefix("--constraint "))
            continue
        requirement = Requirement(line)
        exact = [one.version for one in requirement.specifier if one.operator == "=="]
        only = len(exact) == len(requirement.specifier) == 1 and "*" not in exact[0]
        pins[canonicalize_name(requirement.name)] = exact[0] if only else ""
    return pins
