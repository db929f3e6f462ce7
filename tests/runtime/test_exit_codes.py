"""How programs end: no stack trace when memory is exhausted, no output on success."""

import argparse
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
import torch

from belong.commands.main import COMMANDS, main
from belong.runtime import text
from belong.runtime.exit_codes import NO_THREADS, OUT_OF_MEMORY, exit_code_of
from belong.runtime.storage import load_csv
from stages.runner import run as run_stage

OF_A_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
OF_TORCH = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: can't allocate memory"
)


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add no arguments: this module is the command `hungry` of these tests."""


def run(_arguments: argparse.Namespace) -> int:
    raise OF_A_GPU


@pytest.mark.parametrize(
    "error", [OF_A_GPU, OF_TORCH, MemoryError()], ids=["gpu", "torch", "plain"]
)
def test_exhausted_memory_is_recognized_in_every_librarys_error(error: Exception) -> None:
    def work() -> int:
        raise error

    messages: list[str] = []
    assert exit_code_of(work, messages.append) == 2
    assert messages == [OUT_OF_MEMORY]


def interrupted() -> int:
    raise KeyboardInterrupt


def test_an_interruption_by_a_library_that_can_start_no_thread_is_none_of_the_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenBLAS raises SIGINT where `ulimit -u 1` leaves it no thread."""
    messages: list[str] = []
    assert exit_code_of(interrupted, messages.append) == 130

    def refuse(_self: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", refuse)
    assert exit_code_of(interrupted, messages.append) == 2
    assert messages == ["interrupted", NO_THREADS]


def test_another_error_of_torch_is_a_fault_and_keeps_its_trace() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        exit_code_of(lambda: int(torch.ones(2, 3) @ torch.ones(2)), print)


def test_a_command_that_finds_no_memory_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(COMMANDS, "hungry", (__name__, "want more than there is"))
    assert main(["hungry"]) == 2
    assert capsys.readouterr().err == f"belong hungry: {OUT_OF_MEMORY}\n"


@pytest.mark.parametrize(("is_own", "hint"), [(True, "; run `dvc repro`"), (False, "")])
def test_only_of_a_stages_own_input_is_it_said_that_dvc_makes_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    is_own: bool,
    hint: str,
) -> None:
    weights = tmp_path / "weights.safetensors"  # that the parameters name

    def reads(plots: Path, _output: Path) -> None:
        load_csv(plots / "roc.csv" if is_own else weights)

    monkeypatch.setattr(text, "program", lambda: "reads")
    monkeypatch.setattr(sys, "argv", ["reads.py", str(tmp_path / "plots"), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as exit_error:
        run_stage(reads)
    assert exit_error.value.code == 2
    file = tmp_path / "plots/roc.csv" if is_own else weights
    assert capsys.readouterr().err == f"reads: {file}: no such file{hint}\n"


def test_a_stage_that_finds_no_memory_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def hungry(output: Path) -> None:
        raise MemoryError(output)

    monkeypatch.setattr(text, "program", lambda: "hungry")
    monkeypatch.setattr(sys, "argv", ["hungry.py", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as exit_error:
        run_stage(hungry)
    assert exit_error.value.code == 2
    assert capsys.readouterr().err == f"hungry: {OUT_OF_MEMORY}\n"


@pytest.mark.pipeline
@pytest.mark.parametrize("library", ["torch", "torchvision"])
def test_a_program_that_ends_at_once_says_nothing_of_leaks(library: str) -> None:
    program = (
        f"from belong.runtime import exit_codes as e; e.skip_final_collection(); import {library}"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")
