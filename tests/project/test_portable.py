"""These commands and the API work without the modules that Windows lacks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import ROOT
from tests.photo_folders import write_images
from tests.untrained_bundle import save_untrained

pytestmark = pytest.mark.robustness

POSIX = (
    "crypt", "curses", "fcntl", "grp", "nis", "ossaudiodev", "pty", "pwd", "readline", "resource",
    "spwd", "syslog", "termios", "tty",
)  # fmt: skip
# psutil differs between systems: on Linux it needs `resource`, on Windows it does not.
BLOCK = f"import psutil, sys; sys.modules.update(dict.fromkeys({POSIX})); "
COMMAND = f"{BLOCK}from belong.commands.main import main; sys.exit(main())"


def run(folder: Path, code: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, and with photos of two classes."""
    folder = tmp_path_factory.mktemp("portable")
    save_untrained(folder / "model")
    names = [f"{label}/{i}.png" for label in "ab" for i in range(4)]
    write_images(folder / "photos", *names, side_px=28, grey=True)
    return folder


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (("score", "photos", "--model", "model", "-o", "scored"), {0}),
        (("check", "photos"), {0, 1}),  # 1: so few images are a finding
        (("info", "model"), {0}),
        (("export", "model", "-o", "model.onnx", "--verify", "photos"), {0}),
        (("verify", "model"), {0}),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else None,
)
def test_a_command_runs_without_them(words: tuple[str, ...], codes: set[int], folder: Path) -> None:
    process = run(folder, COMMAND, *words)
    assert process.returncode in codes, process.stderr
    assert "Traceback" not in process.stderr


def test_the_api_predicts_without_them(folder: Path) -> None:
    code = "import belong; print(len(belong.load_model('model').predict('photos').belongs))"
    process = run(folder, BLOCK + code)
    assert (process.returncode, process.stdout) == (0, "8\n"), process.stderr


def test_a_program_that_needs_one_of_them_is_found_out() -> None:
    assert "fcntl" in run(ROOT, f"{BLOCK}import fcntl").stderr
