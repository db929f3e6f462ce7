"""Every package that this one needs, directly or through another, has one version in the pins.

So `pip-audit`, which SECURITY.md describes, checks all packages in use. It needs the internet.
"""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from belong.runtime.environment import PACKAGES
from tests.imports import ROOT
from tests.pins import declared, needed_packages, pinned

PINS = pinned(ROOT / "constraints.txt")


def test_every_package_that_is_needed_is_pinned() -> None:
    """Here: another system or Python may need another one."""
    packages = needed_packages(declared(ROOT / "pyproject.toml"))
    assert {"dvc", "pygit2", "torch", "sympy"} <= packages.keys()  # asked for, and needed by these
    assert packages.keys() - PINS.keys() == set()


def test_every_pin_is_one_version() -> None:
    assert [name for name, version in PINS.items() if not version] == []


def test_every_pin_has_its_hashes() -> None:
    """Of the same version; and nothing else is in the file, such as the address of an index."""
    lines = (ROOT / "hashes.txt").read_text(encoding="utf-8").splitlines()
    packages = "\n".join(line for line in lines if not line.startswith("#"))
    versions = {}
    for block in re.split(r"\n(?! )", packages):
        package, *hashes = block.split(" \\\n    ")
        assert hashes, package
        assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", one) for one in hashes), package
        name, _, version = package.partition("==")
        versions[canonicalize_name(name)] = version
    assert versions == PINS


def test_a_build_takes_the_versions_of_the_pins() -> None:
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    names = {one.partition("==")[0] for one in requirements}
    assert requirements == [f"{name}=={PINS[name]}" for name in sorted(names)]


def test_every_pin_is_what_the_project_asks_for() -> None:
    requirements = declared(ROOT / "pyproject.toml")
    pinned_versions = [(one, PINS[canonicalize_name(one.name)]) for one in requirements]
    outside = [str(one) for one, version in pinned_versions if not one.specifier.contains(version)]
    assert outside == []


def test_indirect_requirements_are_found() -> None:
    assert {"jinja2", "markupsafe"} <= needed_packages([Requirement("jinja2")]).keys()
    assert needed_packages([Requirement("no-such-package")]) == {"no-such-package": ""}


def test_every_version_that_a_model_tells_is_one_that_its_results_depend_on() -> None:
    assert {*PACKAGES} - {"dvc"} <= pinned(ROOT / "versions.txt").keys()


@pytest.mark.parametrize("line", ["a>=1", "a==1.*", "a==1,!=2", "a"])
def test_a_pin_that_leaves_a_choice_is_none(line: str, tmp_path: Path) -> None:
    (tmp_path / "pins").write_text(f"# a==3\n{line}\n--constraint others\n")
    (tmp_path / "others").write_text("B_b==2.0\n")
    assert pinned(tmp_path / "pins") == {"a": "", "b-b": "2.0"}
