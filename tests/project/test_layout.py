"""The layout: wings whose imports run one way, and one top-level name in the wheel."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

from belong import parameters
from belong.runtime.typed_yaml import Section
from tests.imports import ROOT

# A wing imports only what stands before it. `parameters` is a single module.
ORDER = [
    "runtime", "parameters", "calibration", "data", "models", "detectors", "evaluation",
    "prediction", "reporting", "commands",
]  # fmt: skip
OUTSIDE = ("benchmarks", "examples", "reproduction", "stages", "tests")
NAME = re.compile(r"(belong|benchmarks|examples|reproduction|stages|tests)(\.\w+)+")


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, those named as strings included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and NAME.fullmatch(str(node.value)):
            yield str(node.value)


def wing(path: Path) -> str:
    return path.relative_to(ROOT / "belong").parts[0].removesuffix(".py")


def upward(path: Path) -> list[str]:
    """Return the imports of a file from wings above its own, or from outside the package."""
    own_wing = wing(path)
    below = ORDER[: ORDER.index(own_wing) + 1] if own_wing in ORDER else ORDER
    names = [name for name in imports(path) if name.split(".")[0] in ("belong", *OUTSIDE)]
    return [name for name in names if not any(name.startswith(f"belong.{one}") for one in below)]


def test_imports_run_down_the_list_of_wings() -> None:
    files = (ROOT / "belong").rglob("*.py")
    assert {
        str(path.relative_to(ROOT)): imports_upward
        for path in files
        if (imports_upward := upward(path))
    } == {}


def test_an_import_that_runs_up_is_found_named_as_a_string_too(tmp_path: Path) -> None:
    path = tmp_path / "one.py"
    path.write_text(
        'import belong.data.idx\nNAME = "belong.commands.fit"\nfrom belong import data\n'
    )
    assert list(imports(path)) == ["belong.data.idx", "belong.data", "belong.commands.fit"]


def test_the_parameters_are_types_and_checks_only() -> None:
    """No stage depends on belong/parameters.py: what decides a result stands in a wing."""
    kinds = [x for x in vars(parameters).values() if isinstance(x, type) and issubclass(x, Section)]
    methods = [
        f"{kind.__name__}.{name}"
        for kind in kinds
        if kind.__module__ == parameters.__name__
        for name, value in vars(kind).items()
        if isinstance(value, property | FunctionType | classmethod | staticmethod)
        and not name.startswith("_")
    ]
    assert methods == []
    tree = ast.parse((ROOT / "belong" / "parameters.py").read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {name for name in functions if not name.startswith("_")} == {"check_network"}


def test_the_library_is_its_wings_three_modules_and_the_mark_of_its_types() -> None:
    entries = {path.name for path in (ROOT / "belong").iterdir() if path.name != "__pycache__"}
    files = {"__init__.py", "__main__.py", "parameters.py", "py.typed"}
    assert entries == files | set(ORDER) - {"parameters"}
    assert len(entries) - 4 <= 12


def test_an_init_file_says_its_folders_subject_and_holds_nothing_else() -> None:
    """Except `belong/__init__.py`, and `reproduction` and `stages`, which make math portable."""
    tops = [ROOT / name for name in ("belong", "benchmarks", "reproduction", "stages")]
    folders = {path.parent for top in tops for path in top.rglob("*.py")}
    folders -= {ROOT / "belong", ROOT / "reproduction", ROOT / "stages"}
    undocumented = [folder for folder in folders if not is_docstring(folder / "__init__.py")]
    assert sorted(str(folder.relative_to(ROOT)) for folder in undocumented) == []


def is_docstring(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return len(tree.body) == 1 and bool(ast.get_docstring(tree))
