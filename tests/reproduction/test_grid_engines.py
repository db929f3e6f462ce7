"""The contract of every engine that can run here: it runs commands, and stops."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reproduction.grid.command import Command
from reproduction.grid.engines.base import STOPPED, Engine
from reproduction.grid.engines.local import Local
from reproduction.grid.orphans import end_processes_in


def engine_named(name: str, folder: Path) -> Engine:
    if name == "ray":
        pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
        from reproduction.grid.engines.ray import OnRay

        return OnRay(threads=1)
    if name == "slurm":
        pytest.importorskip("submitit", reason="no submitit: pip install -e '.[slurm]'")
        from reproduction.grid.engines.slurm import OnSlurm

        # Without Slurm, submitit's own processes take its place.
        return OnSlurm(folder, threads=1, cluster="slurm" if shutil.which("srun") else "local")
    return Local(folder)


@pytest.fixture(params=["local", "ray", "slurm"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made = engine_named(request.param, tmp_path)
    yield made
    made.stop()
    if request.param == "ray":
        import ray

        ray.shutdown()


def program(folder: Path, name: str, text: str) -> Command:
    """Return the command that runs a program of its own in `folder`."""
    (folder / f"{name}.py").write_text(text)
    return Command((name,), folder, {"COLOUR": "blue"}, folder / f"{name}.log")


def test_a_command_runs_in_its_folder_with_its_environment_and_log(
    engine: Engine, tmp_path: Path
) -> None:
    text = "import os; print(os.getcwd(), os.environ['COLOUR']); raise SystemExit(3)"
    command = program(tmp_path, "shows", text)
    assert engine.run(command) == 3
    assert command.log.read_text() == f"{tmp_path} blue\n"


def test_stopping_ends_what_is_running_and_runs_nothing_more(
    engine: Engine, tmp_path: Path
) -> None:
    long = "import pathlib, time; pathlib.Path('started').touch(); time.sleep(120)"
    with ThreadPoolExecutor() as pool:
        running = pool.submit(engine.run, program(tmp_path, "sleeps", long))
        end = time.monotonic() + 60
        while not (tmp_path / "started").exists():
            assert time.monotonic() < end, "it has not started"
            time.sleep(0.05)
        engine.stop()
        assert running.result(timeout=60) != 0
    assert engine.run(program(tmp_path, "late", "")) == STOPPED
    assert not (tmp_path / "late.log").exists()


def test_a_command_that_was_ended_has_not_succeeded(tmp_path: Path) -> None:
    process = program(tmp_path, "sleeps", "import time; time.sleep(120)").start()
    end_processes_in(tmp_path)
    assert process.wait() != 0
