"""A message names an argument as its caller knows it, in Python and in a command."""

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import belong
from belong.commands.main import main
from belong.runtime.argument_names import heading, named, of_command, options_of
from belong.runtime.errors import InputError
from reproduction.command_pages import command_parser
from tests.imports import ROOT
from tests.project.test_texts import literals

OPTIONS = {"alpha": "--alpha", "n_calibration": "--calibration-images", "overwrite": "--overwrite"}
# Modules of the library that read the words of a command line.
OF_COMMANDS = {"arguments.py", "command.py", "export.py", "info.py", "main.py", "score.py"}
PARSED = {"belong/commands/fit/requirements.py", "belong/commands/fit/settings.py"}
OPTION = re.compile(r"(?<![\w`-])--[a-z][a-z-]+")
# They write whole command lines.
OF_COMMAND_LINES = {"belong/data/download.py", "belong/reporting/gallery/gallery.py"}
QUOTED = re.compile(r"`belong [^`]*`")  # a whole command, which a message advises
# Their messages stand in the tables of reports/, or wait.
NOT_YET = {"belong/models/backbones/catalog.py", "belong/models/learning_check.py"}


def test_in_python_an_argument_has_its_own_name() -> None:
    assert named("n_calibration") == "n_calibration="
    assert named("how", "copy") == "how='copy'"
    assert named("overwrite", value=True) == "overwrite=True"
    assert heading("alpha") == "alpha"


def test_in_a_command_an_argument_is_its_option() -> None:
    with of_command(OPTIONS):
        assert named("n_calibration") == "--calibration-images"
        assert named("alpha", 0.1) == "--alpha 0.1"
        assert named("overwrite", value=True) == "--overwrite"
        assert (heading("alpha"), heading("images[0]")) == ("--alpha", "images[0]")
        assert named("follow_links", value=True) == "--follow-links"  # of another command
    assert named("alpha") == "alpha="


def test_an_option_is_named_by_its_long_form() -> None:
    options = options_of(command_parser("watch"))
    assert options["output"] == "--output"
    assert options["images_folder"] == "--images"
    assert "inputs" not in options  # which is no option


def test_the_same_mistake_is_named_in_both_worlds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=r"^expected model=, or both alpha= and n_calibration=$"):
        belong.watch(tmp_path / "predictions.csv")
    assert main(["watch", str(tmp_path / "predictions.csv")]) == 2
    assert capsys.readouterr().err == (
        "belong watch: expected --model, or both --alpha and --calibration-images\n"
    )
    with pytest.raises(InputError, match=r"^expected model=,"):
        belong.watch(tmp_path / "predictions.csv")  # after a command, too


# Options without an argument of the function of the same name: the parameters that `settings` sets,
# and what a command does around the call.
SETTINGS = {"seed", "threads", "device"}
AROUND = {"fit": {*SETTINGS, "plan"}, "clean": SETTINGS, "find": SETTINGS, "check": {"output"},
          "evaluate": {"save_panel"}}  # fmt: skip
CLASSES: dict[str, Any] = {
    "check": belong.CheckOptions, "clean": belong.CleanOptions, "find": belong.FindOptions,
    "watch": belong.ScoringOptions,
}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["fit", "watch", "learn", "clean", "find", "check", "export", "evaluate"]
)
def test_an_option_has_the_name_of_the_argument_that_it_sets(name: str) -> None:
    arguments = set(inspect.signature(getattr(belong, name)).parameters)
    if name in CLASSES:
        arguments |= {field.name for field in fields(CLASSES[name])}
    options = set(options_of(command_parser(name))) - {"help"}
    assert options - arguments == AROUND.get(name, set())


def test_no_message_of_the_library_names_an_option() -> None:
    matches = {
        f"{path.relative_to(ROOT)}:{line}: {match[0]}"
        for path in sorted((ROOT / "belong").rglob("*.py"))
        if path.name not in OF_COMMANDS
        and not {str(path.relative_to(ROOT))} & (PARSED | OF_COMMAND_LINES | NOT_YET)
        and "/verify/" not in str(path)  # calls git and dvc
        for line, text in literals(path)
        for match in OPTION.finditer(QUOTED.sub("", text))
    }
    assert sorted(matches) == []
