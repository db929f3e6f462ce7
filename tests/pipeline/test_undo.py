"""`make undo` reverts an experiment, and `make` reports how a run differs."""

import json
import os
import signal
from pathlib import Path

import pytest

from belong.commands.verify.compare import describe
from belong.commands.verify.repair import alone
from belong.commands.verify.undo import main
from tests.clones import call, commit
from tests.toy_pipeline import clone_of, make_toy, run_on, slow_training

# What DVC itself warns of, in the process that calls it.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")
SPREAD = "metric,tolerance\ndetectors.vim.auroc,0.5\n"


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy(tmp_path_factory.mktemp("author") / "toy")


@pytest.fixture(scope="module")
def used_clone(author: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a clone on another machine, whose first run and first experiment are done."""
    folder = clone_of(author, tmp_path_factory.mktemp("other") / "toy")
    run_on(folder, "other", "dvc", "repro")
    run_on(folder, "other", "dvc", "exp", "run", "--name", "tenth", "-S", "lambda=0.1")
    return folder


def model(folder: Path) -> str:
    return (folder / "data" / "package" / "model").read_text()


def is_as_committed(folder: Path) -> bool:
    return call(folder, "git", "status", "--porcelain") == ""


def test_undo_brings_back_what_this_machine_made_though_the_lock_is_another_machines(
    used_clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The committed dvc.lock names outputs that were never on this machine."""
    assert model(used_clone) == "other 0.1"
    assert main(used_clone) == 0
    assert is_as_committed(used_clone)
    assert model(used_clone) == "other 1.0"
    (line,) = capsys.readouterr().err.splitlines()
    assert "restored to the committed version; the previous version is in the stash: " in line
    assert "+lambda: 0.1" in call(used_clone, "git", "stash", "show", "--patch", "stash@{0}")


@pytest.mark.parametrize("autostage", ["true", "false"])
def test_undo_works_after_an_experiment_was_applied_with_and_without_autostage(
    used_clone: Path, autostage: str
) -> None:
    call(used_clone, "dvc", "config", "--local", "core.autostage", autostage)
    (used_clone / "notes.txt").write_text("mine")  # no part of the pipeline
    call(used_clone, "dvc", "exp", "apply", "tenth")
    assert model(used_clone) == "other 0.1"
    call(used_clone, "dvc", "commit", "--force")  # with autostage, git's index has it all
    assert main(used_clone) == 0
    assert call(used_clone, "git", "status", "--porcelain") == "?? notes.txt\n"
    assert model(used_clone) == "other 1.0"
    (used_clone / "notes.txt").unlink()


def test_after_undo_repro_trains_nothing_where_the_lock_is_this_machines(
    author: Path, tmp_path: Path
) -> None:
    folder = clone_of(author, tmp_path / "toy")
    call(folder, "dvc", "config", "--local", "cache.dir", str(author / ".dvc" / "cache"))
    run_on(folder, "author", "dvc", "exp", "run", "-S", "lambda=0.1")
    assert main(folder) == 0
    assert model(folder) == "author 1.0"
    assert "up to date" in run_on(folder, "author", "dvc", "repro")
    assert is_as_committed(folder)


def test_after_a_first_experiment_undo_says_which_outputs_were_never_made(
    author: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = clone_of(author, tmp_path / "toy")
    run_on(folder, "other", "dvc", "exp", "run", "-S", "lambda=0.1")
    assert main(folder) == 0
    assert is_as_committed(folder)
    assert not (folder / "data" / "bundle").exists()
    assert (folder / "data" / "raw" / "images").read_text() == "digits"
    last = capsys.readouterr().err.splitlines()[-1]
    assert "data/bundle and 1 more: not computed on this machine with these parameters" in last


def test_undo_works_after_a_stage_failed_and_the_lock_was_cut_off(used_clone: Path) -> None:
    run_on(used_clone, "other", "dvc", "exp", "run", "-S", "lambda=13", fails=True)
    lock = used_clone / "dvc.lock"
    lock.write_text(lock.read_text()[:100])
    assert main(used_clone) == 0
    assert is_as_committed(used_clone)
    assert model(used_clone) == "other 1.0"


def test_undo_works_after_dvc_was_killed_in_the_middle_of_an_experiment(
    used_clone: Path, tmp_path: Path
) -> None:
    command = "dvc", "exp", "run", "-S", "lambda=0.2"
    with slow_training(used_clone, "other", tmp_path, *command) as process:
        os.killpg(process.pid, signal.SIGKILL)
    assert call(used_clone, "git", "rev-parse", "--abbrev-ref", "HEAD") == "HEAD\n"  # detached
    assert main(used_clone) == 0
    assert is_as_committed(used_clone)
    assert call(used_clone, "git", "rev-parse", "--abbrev-ref", "HEAD") == "master\n"
    assert (used_clone / "params.yaml").read_text() == "# the weight\nlambda: 1.0\n"
    assert model(used_clone) == "other 1.0"


def test_undo_leaves_edits_of_other_files_alone(used_clone: Path) -> None:
    table = used_clone / "reports" / "grid.csv"  # hours of work of another program
    table.write_text("pair,lambda\n")
    code = used_clone / "toy.py"
    edited = code.read_text() + "# a comment\n"
    whole = code.read_text()
    code.write_text(edited)
    (used_clone / "params.yaml").write_text("lambda: 3\n")
    assert main(used_clone) == 0
    assert (code.read_text(), table.read_text()) == (edited, "pair,lambda\n")
    assert (used_clone / "params.yaml").read_text() == "# the weight\nlambda: 1.0\n"
    code.write_text(whole)
    table.unlink()


def test_undo_is_refused_at_once_while_dvc_runs(
    used_clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone(used_clone):
        assert main(used_clone) == 2
    assert "DVC is running here; wait for its end, or stop it" in capsys.readouterr().err


def test_undo_without_git_is_refused_in_one_line(
    author: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dvc.yaml").write_text((author / "dvc.yaml").read_text())
    assert main(tmp_path) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_run_on_another_machine_is_set_beside_the_committed_one(
    author: Path, tmp_path: Path
) -> None:
    folder, spread = clone_of(author, tmp_path / "toy"), tmp_path / "spread.csv"
    spread.write_text(SPREAD)
    assert describe(folder, spread) == "your run equals the committed one, byte for byte"
    run_on(folder, "other", "dvc", "repro")
    assert describe(folder, spread) == (
        "your run differs from the committed one: 0 of 1 metrics within the spread of seeds, "
        "largest difference 1.0000 (detectors.vim.auroc); 3 files changed; "
        "`make undo` restores the committed state"
    )
    commit(folder)
    assert describe(folder, spread).endswith("byte for byte")
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("1.0", "2.0"))
    assert describe(folder, spread) == (
        "your run differs from the committed one: other parameters (lambda); "
        "1 file changed; `make undo` restores the committed state"
    )


def test_metrics_in_two_files_are_compared_together(author: Path, tmp_path: Path) -> None:
    folder, spread = clone_of(author, tmp_path / "toy"), tmp_path / "spread.csv"
    spread.write_text(SPREAD)
    metrics = folder / "reports" / "metrics.json"
    numbers = json.loads(metrics.read_text())
    numbers["detectors"]["vim"]["auroc"] -= 0.1
    metrics.write_text(json.dumps(numbers))
    assert "1 of 1 metrics within the spread of seeds, largest difference 0.1000" in describe(
        folder, spread
    )
