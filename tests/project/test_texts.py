"""Every text for users is plain English: no forbidden word, short help, one example."""

import argparse
import ast
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from belong.commands.main import COMMANDS, main, parser
from reproduction.command_pages import command_parser
from tests.imports import ROOT

WORDS = (
    "wants", "wanted", "lest", "anew", "of those", "put up with", "but for", "for want of",
    "go on where", "goes on where", "half done", "half made", "mended", "mends", "misspelt",
    "none waits", "of whatever", "stands there", "the very", "thereof", "therein", "upon", "whilst",
    "whoever",
)  # fmt: skip
FORBIDDEN = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)
SPACED_PERCENT = re.compile(r"(^|[0-9}]) %(?!}| \d|\()")
MOST_WORDS = 10
CODE = ("belong", "benchmarks", "examples", "reproduction", "stages")
PAGES = (
    "*.md", "belong/**/*.html", "belong/**/*.js", "data/dvc.yaml", "docs/**/*.md", "dvc.yaml",
    "examples/*.ipynb", "examples/*.md", "params.yaml", "reports/**/*.md",
)  # fmt: skip
# Options with the defaults of params.yaml: their argparse default is None.
SETTINGS = {"--seed": "seed", "--threads": "threads", "--device": "device"}


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string in a module that is no docstring; parts of an f-string."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield node.lineno, node.value if isinstance(node.value, str) else ""


def modules() -> list[Path]:
    return sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))


def pages() -> list[Path]:
    return sorted(path for pattern in PAGES for path in ROOT.glob(pattern))


@pytest.mark.pipeline
def test_no_string_of_the_code_has_a_forbidden_word() -> None:
    matches = [
        f"{path.relative_to(ROOT)}:{line}: {match[0]}"
        for path in modules()
        for line, text in literals(path)
        for match in FORBIDDEN.finditer(" ".join(text.split()))
    ]
    assert matches == []


def test_no_page_has_a_forbidden_word() -> None:
    matches = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in pages()
        for match in FORBIDDEN.finditer(" ".join(path.read_text(encoding="utf-8").split()))
    ]
    assert matches == []


@pytest.mark.pipeline
def test_no_text_has_a_space_before_a_percent_sign() -> None:
    """The form is 95%; reports follow when their stages run."""
    strings = [(path, text) for path in modules() for _, text in literals(path)]
    texts = [(path, path.read_text(encoding="utf-8")) for path in pages()]
    matches = [
        f"{path.relative_to(ROOT)}: {text[max(match.start() - 30, 0) : match.end()]}"
        for path, text in strings + texts
        for match in SPACED_PERCENT.finditer(text)
        if ROOT / "reports" not in path.parents
    ]
    assert matches == []


def test_all_kinds_of_pages_are_read() -> None:
    read = {path.relative_to(ROOT).as_posix() for path in pages()}
    assert {
        "CHANGELOG.md", "README.md", "SECURITY.md", "belong/reporting/gallery/gallery.html",
        "docs/commands/fit.md", "dvc.yaml", "examples/quick_start.ipynb", "reports/faults.md",
        "reports/photos/few_images.md",
    } <= read  # fmt: skip


def test_a_string_with_a_forbidden_word_is_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""It wants."""\nx = f"{x} wants {y}"\n', encoding="utf-8")
    assert [text for _, text in literals(module) if FORBIDDEN.search(text)] == [" wants "]


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> argparse.ArgumentParser:
    return command_parser(request.param)


def phrases(command: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the phrases of the help: description, each option, each line of the epilog."""
    yield command.description or ""
    yield from (action.help or "" for action in command._actions)
    yield from (line for line in (command.epilog or "").splitlines() if "belong " not in line)


def test_no_help_phrase_has_over_ten_words(command: argparse.ArgumentParser) -> None:
    assert [text for text in phrases(command) if len(text.split()) > MOST_WORDS] == []


def test_no_description_of_a_command_has_over_ten_words() -> None:
    assert [text for _, text in COMMANDS.values() if len(text.split()) > MOST_WORDS] == []


def test_no_help_has_a_forbidden_word(command: argparse.ArgumentParser) -> None:
    assert FORBIDDEN.findall(command.format_help()) == []


def test_each_option_with_a_default_shows_it(command: argparse.ArgumentParser) -> None:
    missing = [
        action.option_strings
        for action in command._actions
        if action.option_strings
        and action.default not in (None, False, argparse.SUPPRESS, [])
        and "default" not in (action.help or "")
    ]
    assert missing == []


def test_the_defaults_of_settings_are_those_of_params_yaml(
    command: argparse.ArgumentParser,
) -> None:
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for action in command._actions:
        key = next((SETTINGS[name] for name in action.option_strings if name in SETTINGS), None)
        if key and action.default is None:
            assert f"(default: {values[key]})" in (action.help or "")


def test_each_command_shows_an_example(command: argparse.ArgumentParser) -> None:
    name = command.prog.split()[-1]
    assert re.search(rf"^  belong {name} ", command.epilog or "", re.MULTILINE)


def test_the_output_of_each_command_is_named_output(command: argparse.ArgumentParser) -> None:
    for action in command._actions:
        if "-o" in action.option_strings:
            assert action.option_strings == ["-o", "--output"]
    assert not any("--out" in action.option_strings for action in command._actions)


def test_the_former_name_of_an_output_is_accepted_but_not_shown() -> None:
    words = ["export", "MODEL", "--onnx", "new.onnx"]
    assert parser("export").parse_args(words).path == Path("new.onnx")
    assert "--onnx" not in command_parser("export").format_help()
    assert "--onnx" not in (ROOT / "docs" / "commands" / "export.md").read_text(encoding="utf-8")


def test_the_help_of_belong_shows_the_first_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    help_text = capsys.readouterr().out
    assert "\n  belong fit photos/ours -o models/ours\n  belong score photos/new" in help_text
    assert FORBIDDEN.findall(help_text) == []


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert (stop.value.code, capsys.readouterr().out) == (0, f"belong {version('belong')}\n")
