"""Nothing in the sources runs what a file says, as SECURITY.md promises."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from belong.runtime.typed_yaml import read
from tests.imports import ROOT

SOURCES = sorted(path for folder in ("belong", "stages") for path in (ROOT / folder).rglob("*.py"))
# Modules that build objects, or code, from bytes.
UNSAFE_MODULES = {"cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_METHODS = {
    "os.system", "os.popen", "torch.load", "torch.jit.load", "torch.package.PackageImporter",
    "np.fromregex", "pd.read_pickle", "yaml.load", "yaml.unsafe_load", "tarfile.extractall",
}  # fmt: skip
# What torch.load(weights_only=True), which reads tensors alone, raises of anything else.
ALLOWED = {"belong/models/backbones/weight_files.py: imports UnpicklingError of pickle"}


def unsafe_in(source: str) -> Iterator[str]:
    """Yield the unsafe calls and imports of a source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (
                f"imports {alias.name}" for alias in node.names if alias.name in UNSAFE_MODULES
            )
        elif isinstance(node, ast.ImportFrom) and node.module in UNSAFE_MODULES:
            yield from (f"imports {alias.name} of {node.module}" for alias in node.names)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            is_unsafe = name in UNSAFE_CALLS | UNSAFE_METHODS or name.endswith(".extractall")
            if is_unsafe and not (name == "torch.load" and _reads_tensors_alone(node)):
                yield f"calls {name}"
            for keyword in node.keywords:
                value = ast.unparse(keyword.value)
                if (keyword.arg, value) in (("shell", "True"), ("allow_pickle", "True")):
                    yield f"calls {name} with {keyword.arg}={value}"
                if keyword.arg == "weights_only" and value != "True":
                    yield f"calls {name} with weights_only={value}"
                if keyword.arg == "typ" and value not in ("'safe'", "'rt'"):
                    yield f"reads YAML of typ {value}"


def _reads_tensors_alone(call: ast.Call) -> bool:
    return any(ast.unparse(one) == "weights_only=True" for one in call.keywords)


def test_no_source_runs_what_a_file_says() -> None:
    unsafe_lines = {
        f"{path.relative_to(ROOT)}: {unsafe}"
        for path in SOURCES
        for unsafe in unsafe_in(path.read_text(encoding="utf-8"))
    }
    assert unsafe_lines == ALLOWED


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import pickle", "imports pickle"),
        ("torch.load(path)", "calls torch.load"),
        ("eval(text)", "calls eval"),
        ("subprocess.run(words, shell=True)", "calls subprocess.run with shell=True"),
        ("np.load(path, allow_pickle=True)", "calls np.load with allow_pickle=True"),
        ("get(weights_only=False)", "calls get with weights_only=False"),
        ("YAML(typ='unsafe')", "reads YAML of typ 'unsafe'"),
        ("archive.extractall(folder)", "calls archive.extractall"),
    ],
)
def test_what_is_unsafe_is_found(source: str, expected: str) -> None:
    assert list(unsafe_in(source)) == [expected]


def test_torch_may_read_tensors_alone() -> None:
    assert not list(unsafe_in("torch.load(path, weights_only=True)"))


@pytest.mark.parametrize("pipeline", ["dvc.yaml", "data/dvc.yaml"])
def test_no_line_that_dvc_hands_to_a_shell_holds_a_value_of_params_yaml(pipeline: str) -> None:
    """Of what is filled in, `item` is a word of the same file."""
    stages = read(ROOT / pipeline)["stages"].values()
    lines = [stage.get("do", stage)["cmd"] for stage in stages]
    filled_in = {name for line in lines for name in re.findall(r"\$\{(\w+)", line)}
    assert lines
    assert filled_in <= {"item"}


def test_ruff_looks_for_the_same_and_more() -> None:
    """The rules S: flake8-bandit; each exception stands in the code with its reason."""
    assert '"S"' in Path(ROOT / "pyproject.toml").read_text(encoding="utf-8")
