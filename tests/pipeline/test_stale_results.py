"""A stage refuses to run if DVC does not track everything that its result depends on."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from belong.runtime.environment import check_versions
from belong.runtime.errors import InputError
from stages.runner import uncovered
from tests.imports import ROOT

DEPS = ["belong/models", "belong/runtime/storage.py", "stages/train.py", "data/raw"]
STAGE = """
from pathlib import Path
from stages.runner import run
{}

def main(out: Path) -> None:
    {}
    out.write_text("done")

run(main)
"""


@pytest.mark.parametrize(
    ("module", "file", "expected"),
    [
        ("belong.models.new", "belong/models/new.py", ""),
        ("belong.models.backbones.new", "belong/models/backbones/new.py", ""),
        ("__main__", "stages/train.py", ""),
        ("belong.parameters", "belong/parameters.py", ""),
        ("belong.runtime.text", "belong/runtime/text.py", ""),
        ("belong.runtime", "belong/runtime/__init__.py", ""),
        ("stages", "stages/__init__.py", ""),
        ("belong.models_too", "belong/models_too/__init__.py", "belong/models_too/__init__.py"),
        ("belong.detectors.new", "belong/detectors/new.py", "belong/detectors/new.py"),
        ("stages.others", "stages/others.py", "stages/others.py"),
        ("reproduction.new", "reproduction/new.py", "reproduction/new.py"),
        ("own", "own.py", "own.py"),
        ("own.network", "own/network.py", "own/network.py"),
        ("numpy", np.__file__, ""),
        ("belong.models.new", "/elsewhere/belong/models/new.py", "/elsewhere/belong/models/new.py"),
    ],
)
def test_an_imported_file_of_the_project_has_to_be_covered(
    module: str, file: str, expected: str
) -> None:
    missing = uncovered({module: Path("/project", file)}, DEPS, Path("/project"))
    assert missing == ([expected] if expected else [])


def test_a_package_installed_below_the_project_is_none_of_its_files() -> None:
    root = Path(np.__file__).parent.parent.parent.parent.parent
    assert uncovered({"numpy": Path(np.__file__)}, DEPS, root) == []


def run_stage(
    folder: Path, *, stage: str = "draw", top: str = "", inside: str = "pass", pin: str = ""
) -> str:
    """Run a stage of a small project as DVC does; return its error line, or ""."""
    (folder / "stages").mkdir()
    (folder / "stages" / "draw.py").write_text(STAGE.format(top, inside))
    (folder / "own.py").touch()
    (folder / "versions.txt").write_text(pin or f"numpy=={version('numpy')}\n")
    (folder / "belong").symlink_to(ROOT / "belong")
    for name in ("__init__.py", "runner.py"):
        shutil.copy(ROOT / "stages" / name, folder / "stages")
    (folder / "dvc.yaml").write_text(
        "stages:\n  draw:\n    deps: [stages/draw.py, versions.txt]\n    outs: [out]\n"
    )
    process = subprocess.run(
        [sys.executable, "-m", "stages.draw", "out"],
        cwd=folder,
        env=os.environ | {"DVC_STAGE": stage},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == (2 if process.stderr else 0), process.stderr
    return process.stderr


def test_a_stage_whose_dependencies_cover_its_imports_runs(tmp_path: Path) -> None:
    assert run_stage(tmp_path) == ""
    assert (tmp_path / "out").read_text() == "done"


def test_a_stage_that_imports_what_dvc_does_not_watch_does_no_work(tmp_path: Path) -> None:
    message = run_stage(tmp_path, top="import own")
    assert message.startswith("draw: imports own.py: expected `deps` in dvc.yaml to list")
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_import_that_comes_late_is_found_at_the_end(tmp_path: Path) -> None:
    assert run_stage(tmp_path, inside="import own").startswith("draw: imports own.py: expected")


def test_a_stage_runs_with_the_versions_alone_that_its_results_are_said_to_be_of(
    tmp_path: Path,
) -> None:
    message = run_stage(tmp_path, pin="numpy==1.0\n")
    installed = version("numpy")
    assert message.startswith(f"draw: versions.txt: expected numpy 1.0, got {installed}: ")
    assert not (tmp_path / "out").exists()


def test_a_stage_that_no_file_of_the_pipeline_describes_does_no_work(tmp_path: Path) -> None:
    message = run_stage(tmp_path, stage="own/dvc.yaml:drew")
    assert message == "draw: own/dvc.yaml:drew: expected a stage of dvc.yaml\n"
    assert not (tmp_path / "out").exists()


def test_all_versions_that_differ_are_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "pins").write_text("# a==1\nnumpy==0.1\npandas == 0.2\nno-such-package==1\n")
    with pytest.raises(InputError) as error:
        check_versions(tmp_path / "pins")
    expected = f"expected numpy 0.1, got {version('numpy')}; pandas 0.2, got {version('pandas')}"
    assert expected in str(error.value)


def test_a_build_of_the_pinned_version_is_the_pinned_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("belong.runtime.environment.version", lambda _: "2.15.0+cpu")
    (tmp_path / "pins").write_text("torch==2.15.0\n")
    check_versions(tmp_path / "pins")
