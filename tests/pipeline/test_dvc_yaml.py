"""dvc.yaml and the code agree; otherwise DVC keeps stale results or retrains needlessly."""

import ast
import functools
import inspect
import io
import re
import subprocess
import tarfile
import textwrap
from pathlib import Path
from typing import Any

import pytest
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_objects.fs.local import LocalFileSystem
from ruamel.yaml import YAML

from belong.parameters import Parameters
from belong.runtime.typed_yaml import read
from stages.runner import VERSIONS, is_exempt
from tests.imports import NO_STAGES, ROOT, imported_by


def stages_of(path: Path) -> dict[str, dict[str, Any]]:
    stages: dict[str, dict[str, Any]] = YAML(typ="safe").load(path.read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


STAGES = stages_of(ROOT / "dvc.yaml")
ALL_STAGES = STAGES | stages_of(ROOT / "data" / "dvc.yaml")
# These read all of params.yaml.
OF_ALL_PARAMETERS = ("check_params", "report_page")
CODE = ("belong/", "reproduction/", "stages/")
# What they write holds no number that a package computed.
WITHOUT_NUMBERS = {"check_params", "fetch", "plots_page"}
# The stage that checks the parameters is about the parameters' own types.
CHECKED = {"belong/parameters.py", "belong/runtime/typed_yaml.py"}
# What the report's page reads and writes differs from run to run: DVC does not watch it.
UNWATCHED = {"report_page": ["data/times", "reports/report.html"]}


def program_of(stage: dict[str, Any]) -> str:
    (name,) = re.findall(r"python -m stages\.(\w+)", stage["cmd"])
    return str(name)


def test_every_program_is_a_stage_and_every_stage_a_program() -> None:
    programs = {path.stem for path in (ROOT / "stages").glob("*.py")} - NO_STAGES
    assert {program_of(stage) for stage in ALL_STAGES.values()} == programs


def test_a_stage_depends_on_exactly_the_wings_that_it_imports() -> None:
    actual, expected = {}, {}
    for name, stage in ALL_STAGES.items():
        program = f"stages/{program_of(stage)}.py"
        wings = {wing for file in imported_by(ROOT / program) if (wing := wing_of(file))}
        subject = CHECKED if name == "check_params" else set()
        if "math" in stage.get("params", []):
            subject = {"belong/runtime/portable_math.py"}
        actual[name] = [dep for dep in stage["deps"] if dep.startswith(CODE)]
        expected[name] = sorted({*wings, *subject, "belong/runtime/storage.py", program})
    assert actual == expected


def wing_of(file: str) -> str | None:
    """Return the folder that a stage lists for a file; the ground floor changes no result."""
    top, *folders = Path(file).parts[:-1]
    return None if top == "stages" or is_exempt(Path(file)) else f"{top}/{folders[0]}"


def test_a_stage_that_computes_depends_on_the_versions_of_the_packages() -> None:
    without = {name for name, stage in ALL_STAGES.items() if str(VERSIONS) not in stage["deps"]}
    assert without == WITHOUT_NUMBERS


def test_a_stage_lists_exactly_the_parameters_that_it_reads() -> None:
    unseen, unread = [], []  # changes that DVC would miss; needless reruns
    for name, stage in STAGES.items():
        if name in OF_ALL_PARAMETERS:
            assert stage["params"] == [{"params.yaml": None}]
            continue
        keys = set(stage.get("params", []))
        read = keys_read(ROOT / "stages" / f"{program_of(stage)}.py")
        unseen += [f"{name}: {key}" for key in read if not covers(keys, key)]
        unread += [f"{name}: {key}" for key in keys if not any(covers({key}, one) for one in read)]
    assert (unseen, unread) == ([], [])


def covers(keys: set[str], key: str) -> bool:
    """Return whether a key, or the section that it is in, is listed."""
    parts = key.split(".")
    return any(".".join(parts[:n]) in keys for n in range(1, len(parts) + 1))


def keys_read(program: Path) -> set[str]:
    """Return the dotted keys of params.yaml that a stage takes from its `Parameters`."""
    tree = ast.parse(program.read_text())
    names = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and "Parameters." in ast.unparse(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {key for chain in chains(tree, names) for key in keys_of(chain)}


def chains(tree: ast.AST, names: set[str]) -> set[tuple[str, ...]]:
    """Return the attributes of attributes that are taken from variables of these names."""
    all_chains = set()
    for node in ast.walk(tree):
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name) and node.id in names:
            all_chains.add(tuple(parts))
    return {
        chain for chain in all_chains if not any(is_start(chain, other) for other in all_chains)
    }


def is_start(chain: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return chain != other and other[: len(chain)] == chain


def keys_of(chain: tuple[str, ...]) -> set[str]:
    """Return the keys behind an attribute of `Parameters`; a property reads some by itself."""
    first, *rest = chain
    if isinstance(member := getattr(Parameters, first, None), property) and member.fget:
        source = ast.parse(textwrap.dedent(inspect.getsource(member.fget)))
        return {key for chain in chains(source, {"self"}) for key in keys_of(chain)}
    if first not in Parameters.model_fields:  # a method of every section
        return set()
    section = Parameters.model_fields[first]
    inside = rest[:1] if rest and rest[0] in getattr(section.annotation, "model_fields", {}) else []
    return {".".join([section.alias or first, *inside])}


def test_another_lambda_or_another_training_leaves_the_frozen_backbones_work_alone() -> None:
    assert set(STAGES["embed"]["params"]) == {"network", "backbone", "device", "threads", "math"}
    data = [dep for dep in STAGES["embed"]["deps"] if dep.startswith("data/")]
    assert not set(data) & set(STAGES["train"]["outs"])


def test_a_command_names_its_inputs_and_outputs_in_the_order_of_the_file() -> None:
    in_command, in_file = {}, {}
    for name, stage in STAGES.items():
        data = [dep for dep in stage["deps"] if not dep.startswith(CODE)]
        entries = [out for kind in ("metrics", "outs") for out in stage.get(kind, [])]
        outputs = [out if isinstance(out, str) else next(iter(out)) for out in entries]
        in_command[name] = [
            word for word in stage["cmd"].split() if word.startswith(("data/", "reports/"))
        ]
        not_in_command = {
            "data/params.valid",
            str(VERSIONS),
            *re.findall(r"\$\{\w+\.path\}", " ".join(data)),
        }
        if name == "check_params":
            not_in_command = set()
        inputs = [dep for dep in data if dep not in not_in_command]
        in_file[name] = inputs + outputs + UNWATCHED.get(name, [])
    assert in_command == in_file


def test_the_page_has_no_output_in_dvc_lock_but_stands_in_git() -> None:
    """Its bytes differ from run to run, but a clone contains it."""
    assert "outs" not in STAGES["report_page"]
    assert (ROOT / "reports" / "report.html").is_file()


def test_an_output_is_either_restored_from_the_cache_or_left_when_its_stage_fails() -> None:
    """DVC's run cache restores nothing of a stage with an output that persists."""
    mixed = []
    for name, stage in ALL_STAGES.items():
        outputs = [*stage.get("outs", []), *stage.get("metrics", [])]
        options = [next(iter(out.values())) if isinstance(out, dict) else {} for out in outputs]
        if any(options) and not all(one.get("persist") for one in options):
            mixed.append(name)
    assert mixed == []


@pytest.mark.parametrize("path", [ROOT / "params.yaml", ROOT / "tests" / "data" / "params.yaml"])
def test_the_parameter_files_are_valid(path: Path) -> None:
    values = Parameters.parse(read(path), path)
    assert values.model_dump(by_alias=True, exclude_unset=True) == read(path)


def test_the_committed_results_are_those_of_the_committed_code(tmp_path: Path) -> None:
    """Every file and folder that dvc.lock saw and git holds is still the same; so are the
    parameters. An experiment in the working tree does not matter."""
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tmp_path, filter="data")
    lock = YAML(typ="safe").load((tmp_path / "dvc.lock").read_text())["stages"]
    assert set(lock) == set(stages_of(tmp_path / "dvc.yaml"))
    changes = differing(lock, tmp_path)
    assert changes == [], "run `dvc repro` and commit dvc.lock and reports/"


def differing(lock: dict[str, dict[str, Any]], root: Path) -> list[str]:
    """Return "STAGE: PATH" and "STAGE: KEY" for what is not as the stage saw or left it."""
    params, changes = read(root / "params.yaml"), []
    for name, stage in lock.items():
        for file in [*stage.get("deps", []), *stage.get("outs", [])]:
            in_git = not Path(file["path"]).is_relative_to("data")
            if in_git and digest(root / file["path"]) != file["md5"]:
                changes.append(f"{name}: {file['path']}")
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            if value_of(params, key) != value:
                changes.append(f"{name}: {key}")
    return changes


@functools.cache
def digest(path: Path) -> str | None:
    """Return DVC's checksum of a file or folder; None if it does not exist."""
    if not path.exists():
        return None
    system = LocalFileSystem()
    _, _, tree = build(HashFileDB(system, ""), str(path), system, "md5", dry_run=True)
    return str(tree.hash_info.value)


def value_of(params: Any, key: str) -> Any:
    """Return the value under a dotted key."""
    for part in key.split("."):
        params = params[part]
    return params


@pytest.mark.parametrize(
    ("edited", "new", "expected"),
    [
        ("code.py", "other", "draw: code.py"),
        ("reports/plots/roc/energy.csv", "other", "draw: reports/plots"),
        ("reports/plots/roc/energy.csv", None, "draw: reports/plots"),
        ("reports/metrics.json", None, "draw: reports/metrics.json"),
        ("params.yaml", "normal: {path: other}", "draw: normal.path"),
    ],
)
def test_changes_that_dvc_has_not_recorded_are_named(
    edited: str, new: str | None, expected: str, tmp_path: Path
) -> None:
    texts = {
        "code.py": "code",
        "params.yaml": "normal: {path: here}",
        "reports/metrics.json": "{}",
        "reports/plots/roc/energy.csv": "x",
        "reports/plots/training.csv": "y",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    paths = {"deps": ["code.py"], "outs": ["reports/metrics.json", "reports/plots"]}
    stage: dict[str, Any] = {
        kind: [{"path": path, "md5": digest(tmp_path / path)} for path in files]
        for kind, files in paths.items()
    }
    lock = {"draw": stage | {"params": {"params.yaml": {"normal.path": "here"}}}}
    digest.cache_clear()
    assert differing(lock, tmp_path) == []
    digest.cache_clear()
    if new is None:
        (tmp_path / edited).unlink()
    else:
        (tmp_path / edited).write_text(new)
    assert differing(lock, tmp_path) == [expected]


def test_no_stage_imports_a_stage() -> None:
    others = {}
    for stage in ALL_STAGES.values():
        program = f"stages/{program_of(stage)}.py"
        imported = {file for file in imported_by(ROOT / program) if file.startswith("stages/")}
        others[program] = imported - {program, "stages/runner.py"}
    assert {program: files for program, files in others.items() if files} == {}


def test_a_stage_without_tensors_does_not_import_torch() -> None:
    light = (
        "pack", "split", "evaluate", "report", "bundle", "report_page", "paper",
        "photos", "plots_page", "study_promise",
    )  # fmt: skip
    importing = {
        file: name
        for name in light
        # A bundle is checked when it is loaded, and the stage only saves one.
        for file in imported_by(ROOT / f"stages/{name}.py")
        - {"belong/prediction/network_outline.py"}
        if re.search(r"^(import|from) torch", (ROOT / file).read_text(), re.MULTILINE)
    }
    assert importing == {}
