"""The contract of every engine: it runs commands, and stops; the grid's bytes are the same on all.

Ray is a cluster of its own on this machine, and so is Slurm, with submitit's processes beside it.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import ray

from reproduction.grid.command import Command
from reproduction.grid.engines.base import STOPPED, Engine
from reproduction.grid.engines.local import Local
from reproduction.grid.engines.ray import OnRay
from reproduction.grid.engines.slurm import OnSlurm
from reproduction.grid.orphans import end_processes_in
from tests import slurm_cluster
from tests.pipeline.test_grid_driver import (
    ENVIRONMENT,
    cells_run,
    edit,
    grid,
    repository,
    started,
    tables,
)

pytestmark = pytest.mark.pipeline

CELLS = ["own-lambda-0.0-seed-0", "own-lambda-1.0-seed-0"]


ENGINES = ("local", "ray", "slurm", "submitit")


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    """Start Slurm; give the variables that its commands need."""
    if not slurm_cluster.is_installed() and not os.environ.get("CI"):
        pytest.skip(slurm_cluster.NONE)
    with slurm_cluster.running() as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
            patch.setitem(ENVIRONMENT, name, value)  # of the drivers that are started
        yield variables


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """Keep Ray running between tests; the first engine starts it."""
    yield
    ray.shutdown()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    one: Engine
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
        one = OnRay(threads=1)
    elif request.param == "slurm":
        request.getfixturevalue("slurm")
        one = OnSlurm(tmp_path, threads=1)
    elif request.param == "submitit":
        one = OnSlurm(tmp_path, threads=1, cluster="local")
    else:
        one = Local(tmp_path)
    yield one
    one.stop()


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
        end = time.monotonic() + 300  # on a busy machine Ray takes long to start
        while not (tmp_path / "started").exists():
            assert time.monotonic() < end, "it has not started"
            time.sleep(0.05)
        engine.stop()
        assert running.result(timeout=300) != 0  # submitit polls rarely; 0 without a stop
    assert engine.run(program(tmp_path, "late", "")) == STOPPED
    assert not (tmp_path / "late.log").exists()


def test_a_command_that_was_ended_has_not_succeeded(tmp_path: Path) -> None:
    process = program(tmp_path, "sleeps", "import time; time.sleep(120)").start()
    end_processes_in(tmp_path)
    assert process.wait() != 0


@pytest.fixture(scope="module")
def local_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which two cells have run on this machine, of a second each."""
    folder = repository(tmp_path_factory.mktemp("grid") / "local")
    edit(folder / "grid.yaml", "own:\n    derive: {images: 1}", "own:\n    derive: {images: 10}")
    shutil.copytree(folder, folder.parent / "fresh")
    assert grid(folder, "--jobs", "2").returncode == 0
    return folder


@pytest.fixture
def new_repository(local_repository: Path, tmp_path: Path) -> Path:
    """The same repository, before any cell has run."""
    return Path(shutil.copytree(local_repository.parent / "fresh", tmp_path / "fresh"))


@pytest.mark.usefixtures("slurm")
def test_two_cells_on_slurm_give_the_bytes_of_this_machine(
    new_repository: Path, local_repository: Path
) -> None:
    process = grid(new_repository, "--engine", "slurm", "--jobs", "2")
    assert (process.returncode, cells_run(process)) == (0, CELLS), process.stderr
    assert tables(new_repository) == tables(local_repository)


def test_two_cells_on_ray_give_the_bytes_of_this_machine_though_a_worker_is_killed(
    new_repository: Path, local_repository: Path
) -> None:
    with started(new_repository, "--engine", "ray", "--jobs", "2") as driver:
        worker = awaited_worker(new_repository)
        worker.send_signal(signal.SIGKILL)
        _, printed = driver.communicate(timeout=120)
    assert driver.returncode == 0, printed
    assert tables(new_repository) == tables(local_repository)


def awaited_worker(folder: Path) -> psutil.Process:
    """Return the worker of Ray that runs the first stage in a clone below `folder`."""
    end = time.monotonic() + 300  # on a busy machine Ray takes long to start
    while time.monotonic() < end:
        for process in psutil.process_iter(["cmdline", "cwd"]):
            words, place = process.info["cmdline"] or [], process.info["cwd"] or ""
            if "toy.py" in words and place.startswith(str(folder)):
                return next(one for one in process.parents() if "ray::" in one.cmdline()[0])
        time.sleep(0.05)
    raise AssertionError("no cell has started")
