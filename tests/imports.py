"""Which files of the project a program imports, directly or through another."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Programs in stages/ that no dvc.yaml runs.
NO_STAGES = {"__init__", "runner"}
PACKAGES = ("belong", "reproduction", "stages", "tests", "benchmarks")


def imported_by(program: Path) -> set[str]:
    """Return the paths, from the root, of `program` and all that it imports.

    A folder's `__init__.py` is left out: it holds a docstring only, except in `belong`,
    `reproduction` and `stages`, where it sets up math and changes no other result
    (`test_an_init_file_says_its_folders_subject_and_holds_nothing_else`).
    """
    imported: set[Path] = set()
    todo = [program]
    while todo:
        file = todo.pop()
        if file not in imported:
            imported.add(file)
            todo += _direct(file)
    return {str(file.relative_to(ROOT)) for file in imported}


def _direct(file: Path) -> list[Path]:
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = [ROOT / (name.replace(".", "/") + ".py") for name in names]
    return [
        file for file in files if file.is_file() and file.relative_to(ROOT).parts[0] in PACKAGES
    ]
