"""An output has one writer at a time, and a stage does not outlive DVC."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

import psutil
import pytest
from filelock import FileLock

from belong.runtime.process_lock import one_writer
from tests.imports import ROOT

# A stage that writes its number into its output once its standard input ends.
STAGE = """
import sys
from pathlib import Path
from belong.runtime.storage import save_text
from stages.runner import run

def main(number: Path, out: Path) -> None:
    print("begins", flush=True)
    sys.stdin.read()
    save_text(out, number.name)

run(main)
"""


def start(folder: Path, number: int, *, reads_stdin: bool = False) -> "subprocess.Popen[str]":
    """Start a stage; with `reads_stdin` it waits for `communicate`, else it ends at once."""
    (folder / "stage.py").write_text(STAGE)
    return subprocess.Popen(
        [sys.executable, "stage.py", str(number), "out"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE if reads_stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_start(process: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    assert cast("IO[str]", process.stdout).readline() == "begins\n"
    return process


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "stage.py")


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.robustness
def test_the_newer_of_two_stages_waits_and_writes_last(tmp_path: Path) -> None:
    older = wait_for_start(start(tmp_path, 1, reads_stdin=True))
    newer = start(tmp_path, 2)
    waits = f"belong: out: waiting for process {older.pid}, which is writing it\n"
    assert cast("IO[str]", newer.stderr).readline() == waits
    assert older.communicate(timeout=120) == ("", "")
    assert newer.communicate(timeout=120) == ("begins\n", "")
    assert older.returncode == newer.returncode == 0
    assert (tmp_path / "out").read_text() == "2"
    assert names_in(tmp_path) == ["out"]


@pytest.mark.pipeline
def test_three_stages_at_once_write_one_after_the_other(tmp_path: Path) -> None:
    first = wait_for_start(start(tmp_path, 0, reads_stdin=True))
    others = [start(tmp_path, number) for number in (1, 2)]
    for stage in others:
        assert "waiting for" in cast("IO[str]", stage.stderr).readline()
    for stage in (first, *others):
        stage.communicate(timeout=120)
    assert [stage.returncode for stage in (first, *others)] == [0, 0, 0]
    assert names_in(tmp_path) == ["out"]


def test_who_waited_for_one_that_wrote_nothing_finds_the_folder_again(tmp_path: Path) -> None:
    """The first process made the folder and removes it, as it is empty."""
    out = tmp_path / "new" / "out"
    waits = threading.Event()

    def second() -> None:
        with one_writer(out, lambda _: waits.set()):
            out.write_text("2")

    other = threading.Thread(target=second)
    with one_writer(out, print):
        other.start()
        assert waits.wait(60)
    other.join()
    assert out.read_text() == "2"


@pytest.mark.robustness
def test_the_lock_of_a_killed_stage_is_taken_over(tmp_path: Path) -> None:
    killed = wait_for_start(start(tmp_path, 1, reads_stdin=True))
    killed.kill()
    killed.communicate()
    assert names_in(tmp_path) == [".out.lock"]
    newer = start(tmp_path, 2)
    assert newer.communicate(timeout=120) == ("begins\n", "")
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize("mistake", [OSError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_no_lock(tmp_path: Path, mistake: type[BaseException]) -> None:
    with pytest.raises(mistake), one_writer(tmp_path / "out", print):
        raise mistake
    assert names_in(tmp_path) == []


@pytest.mark.robustness
@pytest.mark.parametrize("shell", ["", "sh -c 'true; "], ids=["directly", "through a shell"])
def test_a_stage_ends_when_the_program_that_started_it_is_killed(
    shell: str, tmp_path: Path
) -> None:
    """The starter simulates DVC; the stage notices its end through a shell, too."""
    (tmp_path / "stage.py").write_text(STAGE)
    end = "'" if shell else ""
    command = f'{shell}"{sys.executable}" stage.py 1 out{end}'
    starter = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.system({command!r})"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT), "DVC_STAGE": "stage"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    children = psutil.Process(wait_for_start(starter).pid).children(recursive=True)
    (stage,) = [one for one in children if "stage.py" in one.cmdline()]
    starter.kill()
    wait_for(lambda: not stage.is_running())
    assert starter.communicate()[1] == "belong: interrupted; no output was written\n"
    assert names_in(tmp_path) == []


def test_a_stage_that_somebody_starts_by_hand_goes_on_when_the_starter_ends(tmp_path: Path) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    command = f'"{sys.executable}" stage.py 1 out'
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    starter = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.system({command!r})"],
        cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for_start(starter).kill()
    starter.communicate()
    wait_for((tmp_path / "out").exists)


def test_a_lock_that_cannot_be_created_is_an_error_and_no_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in /sys, where even root, who may write there, can create no file."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(PermissionError, match="not permitted"), one_writer(tmp_path / "x", print):
        raise AssertionError("the block must not run")
