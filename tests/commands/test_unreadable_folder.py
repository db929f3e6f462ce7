"""A folder of unreadable images has the same answer from every command: one line, exit code 3."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

import belong
from belong.commands.main import main
from belong.runtime.errors import TooManyBadFilesError
from tests.untrained_bundle import save_untrained

SENTENCE = "photos: 0 of 4 images can be read; the first: ant/0.png (empty: 0 bytes)"
# Command -> what is behind the sentence: where the reasons are.
COMMANDS = {
    "check photos": "",
    "check photos -o out": "; out/unreadable.csv lists all",
    "fit photos -o out": "; `belong check -o OUT` lists all",
    "fit photos -o out --plan": "; `belong check -o OUT` lists all",
    "clean photos -o out": "; out/manifest.csv lists all",
    "find photos -o out": "; out/unreadable.csv lists all",
    "score photos --model model -o out": "; out/unreadable.csv lists all",
    "watch photos --model model": "",
    "watch photos --model model -o out": "; out/unreadable.csv lists all",
    "export model -o model.onnx --verify photos": "",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("unreadable")
    save_untrained(to / "model")
    for name in ("ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png"):
        (to / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (to / "photos" / name).touch()
    return to


@pytest.mark.robustness
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_answers_alike(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    shutil.copytree(folder, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    words = command.split()
    assert main(words) == 3
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == f"belong {words[0]}: {SENTENCE}{COMMANDS[command]}"
    if "unreadable.csv" in COMMANDS[command]:
        table = pd.read_csv("out/unreadable.csv")
        assert table["path"].tolist() == ["ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png"]
        assert set(table["reason"]) == {"empty: 0 bytes"}


def test_the_error_in_python_has_the_reasons(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(TooManyBadFilesError) as error:
        belong.check("photos")
    assert str(error.value) == SENTENCE
    assert error.value.unreadable[-1] == ("bee/1.png", "empty: 0 bytes")
