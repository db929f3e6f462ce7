"""Names are nouns, no bare participles; a test that a text names exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imports import ROOT

FOLDERS = "belong", "benchmarks", "reproduction", "stages", "tests"
WORDS = {
    "asked", "brought", "built", "done", "drawn", "found", "given", "gone", "got", "held", "kept",
    "lost", "made", "met", "needed", "own", "paid", "put", "said", "seen", "shown", "some", "taken",
    "told", "tried", "used", "wanted", "won",
}  # fmt: skip

SENTENCE = re.compile(r"\btest(?:_[a-z0-9]+){4,}\b")  # the name of a test, which is a sentence


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the name and the line of each variable, argument and attribute that is assigned."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno


def participles(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for name, line in names(tree)
        if name.strip("_") in WORDS
    ]


@pytest.mark.pipeline
@pytest.mark.parametrize("folder", FOLDERS)
def test_no_variable_is_a_bare_participle(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    assert not [line for path in paths for line in participles(path)]


@pytest.mark.parametrize(
    "code",
    [
        "found = 1",
        "found: int = 1",
        "first, (found, *_) = values",
        "for found in values: pass",
        "[found for found in values]",
        "(found := 1)",
        "def work(found): pass",
        "def work(*, found): pass",
        "work(lambda found: 0)",
        "class Result:\n    found: int",
        "self.found = 1",
        "with work() as found: pass",
        "try: pass\nexcept OSError as found: pass",
        "import os as found",
        "match value:\n    case [found, *_]: pass",
        "match value:\n    case [_, *found]: pass",
    ],
)
def test_every_kind_of_assignment_is_seen(code: str) -> None:
    assert "found" in [name for name, _ in names(ast.parse(code))]


@pytest.mark.parametrize("code", ["values.found", "work(found=1)", "found()", "x = {'found': 1}"])
def test_the_use_of_a_name_is_no_assignment(code: str) -> None:
    assert "found" not in [name for name, _ in names(ast.parse(code))]


def test_a_test_that_a_file_names_exists() -> None:
    texts = {
        path.relative_to(ROOT): path.read_text(encoding="utf-8")
        for pattern in ("*.md", "*.yaml", *(f"{folder}/**/*.py" for folder in FOLDERS))
        for path in ROOT.glob(pattern)
    }
    defined = {
        node.name
        for path, text in texts.items()
        if path.parts[0] == "tests"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    }
    named = {(str(path), name) for path, text in texts.items() for name in SENTENCE.findall(text)}
    assert {name for _, name in named} & defined
    assert sorted(f"{path}: {name}" for path, name in named if name not in defined) == []
