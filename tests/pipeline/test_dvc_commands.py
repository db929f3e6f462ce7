"""What docs/pipeline.md says that DVC's own commands do, on a toy pipeline."""

import json
import re
import time
from pathlib import Path

import psutil
import pytest

from belong.commands.verify.pull import main as pull
from tests.clones import call, commit
from tests.toy_pipeline import clone_of, make_toy, run_on, slow_training

# What DVC itself warns of, in the process that calls it.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")
RUN = ("dvc", "exp", "run")


@pytest.fixture
def author(tmp_path: Path) -> Path:
    return make_toy(tmp_path / "author")


def weights(folder: Path) -> dict[str, float]:
    """Return lambda -> the AUROC of each finished experiment."""
    (baseline,) = json.loads(call(folder, "dvc", "exp", "show", "--json", "--hide-workspace"))
    aurocs = {}
    for experiment in baseline["experiments"] or []:
        data = experiment["revs"][0]["data"]
        is_done = (experiment["executor"] or {"state": "success"})["state"] == "success"
        if is_done:
            weight = data["params"]["params.yaml"]["data"]["lambda"]
            metrics = data["metrics"]["reports/metrics.json"]["data"]
            aurocs[str(weight)] = metrics["detectors"]["vim"]["auroc"]
    return aurocs


def test_a_sweep_in_dvcs_queue_goes_on_after_its_worker_was_killed(
    author: Path, tmp_path: Path
) -> None:
    signals = tmp_path / "signals"
    run_on(author, "author", *RUN, "--queue", "-S", "lambda=0,0.01,0.1")
    with slow_training(author, "author", signals, "dvc", "queue", "start"):
        workers = [one for one in psutil.process_iter() if is_in(one, author)]
        for one in workers:
            one.kill()
    (killed,) = (path.name.removeprefix("started-") for path in signals.glob("started-*"))
    assert "Running" in call(author, "dvc", "queue", "status")  # says DVC, of nobody
    call(author, "dvc", "queue", "stop", "--kill")
    assert re.findall("Failed|Running", call(author, "dvc", "queue", "status")) == ["Failed"]
    call(author, "dvc", "queue", "remove", "--failed")
    run_on(author, "author", *RUN, "--queue", "-S", f"lambda={killed}")
    for _ in range(3):  # a worker may end before all experiments are finished
        run_on(author, "author", "dvc", "queue", "start")
        while "0 active, 0 idle" not in (status := call(author, "dvc", "queue", "status")):
            time.sleep(1)
        if "Queued" not in status:
            break
    assert weights(author) == {"0": 1.0, "0.01": 1.0001, "0.1": 1.001}
    assert call(author, "git", "status", "--porcelain") == ""


def is_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False


def test_an_experiment_elsewhere_runs_beside_another_that_began_before(
    author: Path, tmp_path: Path
) -> None:
    """Two experiments that begin in the same second may use each other's parameters."""
    signals = tmp_path / "signals"
    with slow_training(author, "author", signals, *RUN, "--temp", "-S", "lambda=0.5") as first:
        run_on(author, "author", *RUN, "--temp", "-S", "lambda=0.1")
        assert weights(author) == {"0.1": 1.001}
    assert first.wait() == 0
    assert weights(author) == {"0.1": 1.001, "0.5": 1.005}
    assert call(author, "git", "status", "--porcelain") == ""


def test_an_edit_of_a_comment_is_accepted_without_a_run(author: Path) -> None:
    with (author / "toy.py").open("a") as code:
        code.write("# a comment\n")
    assert "changed deps" in call(author, "dvc", "status")
    call(author, "dvc", "commit", "--force")
    assert "Running stage" not in run_on(author, "another", "dvc", "repro")
    changes = call(author, "git", "status", "--porcelain").split()
    assert {"toy.py", "dvc.lock"} <= set(changes)
    assert not any(name.startswith("reports/") for name in changes)


def test_from_a_remote_a_second_clone_has_everything_and_nothing_to_run(
    author: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    call(author, "dvc", "remote", "add", "--default", "store", str(store))
    call(author, "dvc", "push")
    commit(author)
    second = clone_of(author, tmp_path / "second")
    assert pull(second) == 0
    assert capsys.readouterr().err.endswith("all outputs of dvc.lock are present\n")
    assert "up to date" in run_on(second, "another", "dvc", "repro")
    assert call(second, "git", "status", "--porcelain") == ""
    assert (second / "data" / "package" / "model").read_text() == "author 1.0"

    call(author, "gto", "register", "package")  # makes the tag package@v0.0.1
    words = "dvc", "artifacts", "get", str(author), "package", "--out", "model"
    call(tmp_path, *words)
    assert (tmp_path / "model" / "model").read_text() == "author 1.0"

    third = clone_of(author, tmp_path / "third")
    for file in (store / "files" / "md5").glob("*/*"):
        if file.read_text() == "author 1.0":
            file.unlink()
    assert pull(third) == 2
    assert "the remote lacks data/bundle, data/package; run `dvc push`" in capsys.readouterr().err
    assert (third / "data" / "raw" / "images").read_text() == "digits"
    store.rename(tmp_path / "away")
    assert pull(third) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"remote store: {store} does not exist, or nothing was ever pushed to it")


def test_without_a_remote_the_answer_is_one_line(
    author: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pull(author) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no remote specified" in line
    assert "dvc remote add" in line
