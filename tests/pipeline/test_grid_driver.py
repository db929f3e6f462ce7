"""The driver of the grid, with DVC and git as they are, on a pipeline of one quick stage.

The stage stands for the real ones: it reads lambda and seed, and writes metrics and curves where
they do. What the driver does with the real pipeline is in test_pipeline.py.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from reproduction.grid.orphans import end_processes_in
from tests.imports import ROOT

STAGE = """
import json, pathlib, sys, time
from ruamel.yaml import YAML

params = YAML(typ="safe", pure=True).load(pathlib.Path("params.yaml"))
weight, seed, batch = params["lambda"], params["seed"], params["train"]["batch_size"]
time.sleep(params["derive"]["images"] / 10)
if batch == 13:
    sys.exit("toy: 13 images in a batch are refused")
if weight == 4:
    sys.exit("train: the training failed 4 times; remedies: more")
plots = pathlib.Path("reports/plots/roc")
plots.mkdir(parents=True, exist_ok=True)
for detector in ("mahalanobis", "mlp_head"):
    roc = f"false_positive_rate,true_positive_rate,threshold\\n0,{weight},-inf\\n1,1,inf\\n"
    (plots / f"{detector}.csv").write_text(roc)
if batch != 14:
    points = f"kind,class_name,x,y\\nnormal,zero,{weight},{seed}\\n"
    (plots.parent / "features.csv").write_text(points)
if batch != 14:
    sets = f"detector,anomalies,n_anomalies,auroc,fpr95\\nenergy,anomaly,9,{weight},{seed}\\n"
    (plots.parent / "anomaly_sets.csv").write_text(sets)
metrics = {"detectors": {"mahalanobis": {"auroc": weight / 100 + seed, "reason": "none"}}}
pathlib.Path("reports/metrics_all.json").write_text(json.dumps(metrics))
"""

PIPELINE = """
stages:
  evaluate:
    cmd: python toy.py
    deps: [toy.py, "${normal.path}"]
    params: [lambda, seed, train, derive]
    outs:
    - reports/plots: {persist: true, cache: false}
    metrics:
    - reports/metrics_all.json: {persist: true, cache: false}
"""

GRID = """
pairs:
  own:
    derive: {images: 1}
  slow:
    derive: {images: 600}
  plain:
    derive: {images: 1}
    train: {batch_size: 14}
  refused:
    derive: {images: 1}
    train: {batch_size: 13}
sweeps:
  first:
    by_default: true
    pairs: [own]
    lambdas: [0, 1]
    seeds: [0]
  second:
    by_default: false
    pairs: [own]
    lambdas: [1, 0.00001]
    seeds: [0]
  slow:
    by_default: false
    pairs: [slow]
    lambdas: [0]
    seeds: [0]
  plain:
    by_default: false
    pairs: [plain]
    lambdas: [1]
    seeds: [0]
  refused:
    by_default: false
    pairs: [own, refused]
    lambdas: [1]
    seeds: [0]
curves:
  lambdas: [1]
  seed: 0
  detectors: [mahalanobis, mlp_head]
"""

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
    "PYTHONPATH": str(ROOT),
    "GIT_CONFIG_GLOBAL": os.devnull,  # a user without a git configuration
}
MAKER = ("-c", "user.name=test", "-c", "user.email=test@example.org")


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *MAKER, *words],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def repository(folder: Path) -> Path:
    """Make a repository with the quick pipeline and the parameters of the tests."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=folder, check=True)
    (folder / "toy.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(PIPELINE)
    shutil.copy(ROOT / "tests" / "data" / "params.yaml", folder / "params.yaml")
    for name in ("tests/data/mnist-small", "tests/data/fashion-mnist-small", "data/further"):
        (folder / name).mkdir(parents=True)
        (folder / name / "images").write_text("old")
    (folder / ".gitignore").write_text("/build/\n/out/\n/grid.yaml\n")
    (folder / ".dvcignore").write_text("build\n")
    (folder / "grid.yaml").write_text(GRID)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


def grid(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "reproduction.grid", "grid.yaml", "out", *options],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextmanager
def started(folder: Path, *options: str) -> "Iterator[subprocess.Popen[str]]":
    """A running driver; it and its cells are stopped when the test ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "reproduction.grid", "grid.yaml", "out", *options],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    ) as driver:
        try:
            yield driver
        except BaseException:
            driver.kill()
            end_processes_in(folder)
            raise


def names_of(folder: Path) -> list[str]:
    """Return the names of the experiments, sorted."""
    refs = git(folder, "for-each-ref", "--format=%(refname)", "refs/exps/??/*/*")
    return sorted(line.rpartition("/")[2] for line in refs.splitlines())


def cells_run(process: "subprocess.CompletedProcess[str]") -> list[str]:
    """Return the names of the cells that were run."""
    return sorted(re.findall(r"^([\w.-]+): [\d.]+ s$", process.stderr, re.MULTILINE))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


@pytest.fixture(scope="module")
def swept_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which the first sweep has run."""
    folder = repository(tmp_path_factory.mktemp("grid") / "first")
    process = grid(folder)
    assert process.returncode == 0, process.stderr
    assert cells_run(process) == ["own-lambda-0.0-seed-0", "own-lambda-1.0-seed-0"]
    return folder


@pytest.fixture
def repository_copy(swept_repository: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(swept_repository, tmp_path / "copy"))


def test_each_cell_is_an_experiment_and_a_row(swept_repository: Path) -> None:
    assert names_of(swept_repository) == ["own-lambda-0.0-seed-0", "own-lambda-1.0-seed-0"]
    rows = pd.read_csv(swept_repository / "out" / "grid.csv").to_dict("records")
    auroc = "detectors.mahalanobis.auroc"
    assert rows == [
        {"pair": "own", "lambda": 0.0, "seed": 0, auroc: 0.0},
        {"pair": "own", "lambda": 1.0, "seed": 0, auroc: 0.01},
    ]


def test_curves_and_features_are_those_of_the_cells_that_the_file_names(
    swept_repository: Path,
) -> None:
    roc = pd.read_csv(swept_repository / "out" / "roc.csv")
    assert list(roc.columns) == [
        "pair", "lambda", "detector", "false_positive_rate", "true_positive_rate",
    ]  # fmt: skip
    assert roc[["lambda", "detector"]].drop_duplicates().to_numpy().tolist() == [
        [1, "mahalanobis"],
        [1, "mlp_head"],
    ]
    features = pd.read_csv(swept_repository / "out" / "features.csv").to_dict("records")
    point = {"kind": "normal", "class_name": "zero", "x": 1, "y": 0}
    assert features == [{"pair": "own", "lambda": 1, **point}]
    sets = pd.read_csv(swept_repository / "out" / "anomaly_sets.csv").to_dict("records")
    row = {"detector": "energy", "anomalies": "anomaly", "auroc": 1, "fpr95": 0}
    assert sets == [{"pair": "own", "lambda": 1, "seed": 0, **row}]


def test_the_working_tree_is_as_it_was(swept_repository: Path) -> None:
    assert git(swept_repository, "status", "--porcelain") == ""
    assert not (swept_repository / "reports").exists()
    assert list((swept_repository / "build" / "grid" / "clones").iterdir()) == []


def test_dvc_knows_the_experiments(swept_repository: Path) -> None:
    output = subprocess.run(
        [sys.executable, "-m", "dvc", "exp", "show", "--json"],
        cwd=swept_repository, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    experiments = [
        one["name"] for commit in json.loads(output) for one in commit["experiments"] or []
    ]
    assert sorted(experiments) == names_of(swept_repository)


def test_a_second_start_runs_nothing_and_writes_the_same_bytes(repository_copy: Path) -> None:
    before = tables(repository_copy)
    process = grid(repository_copy)
    assert (process.returncode, cells_run(process)) == (0, [])
    assert tables(repository_copy) == before


def test_gathering_alone_writes_the_same_bytes(repository_copy: Path) -> None:
    before = tables(repository_copy)
    shutil.rmtree(repository_copy / "out")
    assert grid(repository_copy, "--gather").returncode == 0
    assert tables(repository_copy) == before


def test_one_more_lambda_runs_one_cell(repository_copy: Path) -> None:
    edit(repository_copy / "grid.yaml", "lambdas: [0, 1]", "lambdas: [0, 0.00001, 1]")
    process = grid(repository_copy)
    assert (process.returncode, cells_run(process)) == (0, ["own-lambda-1e-05-seed-0"])
    assert pd.read_csv(repository_copy / "out" / "grid.csv")["lambda"].tolist() == [0, 1e-05, 1]


def test_a_clone_without_experiments_runs_none_of_the_cells_in_its_tables(
    repository_copy: Path,
) -> None:
    before = tables(repository_copy)
    for name in git(
        repository_copy, "for-each-ref", "--format=%(refname)", "refs/exps"
    ).splitlines():
        git(repository_copy, "update-ref", "-d", name)
    process = grid(repository_copy)
    assert (process.returncode, cells_run(process), process.stderr) == (
        0,
        [],
        "grid: 2 cells, 2 of them finished\n",
    )
    assert tables(repository_copy) == before
    edit(repository_copy / "grid.yaml", "lambdas: [0, 1]", "lambdas: [0, 0.00001, 1]")
    assert cells_run(grid(repository_copy)) == ["own-lambda-1e-05-seed-0"]
    rows = pd.read_csv(repository_copy / "out" / "grid.csv").drop(index=1)
    assert rows.to_csv(index=False, float_format="%.6g").encode() == before["grid.csv"]
    for name in ("roc.csv", "features.csv", "anomaly_sets.csv"):
        assert tables(repository_copy)[name] == before[name]
    edit(repository_copy / "toy.py", "weight / 100", "weight / 50")
    git(repository_copy, "commit", "--quiet", "--all", "--message", "change")
    assert "nothing to write" in grid(repository_copy, "--gather").stderr


def test_a_cell_that_left_the_file_leaves_the_table_and_stays_an_experiment(
    repository_copy: Path,
) -> None:
    edit(repository_copy / "grid.yaml", "lambdas: [0, 1]", "lambdas: [1]")
    assert grid(repository_copy, "--gather").returncode == 0
    assert pd.read_csv(repository_copy / "out" / "grid.csv")["lambda"].tolist() == [1]
    assert "own-lambda-0.0-seed-0" in names_of(repository_copy)


@pytest.mark.parametrize(
    ("file", "old", "new", "is_stale"),
    [
        ("toy.py", "weight / 100", "weight / 50", True),
        (
            "toy.py",
            "import json, pathlib, sys, time",
            "import json, pathlib, sys, time  # all",
            False,
        ),
        ("dvc.yaml", "cmd: python toy.py", "cmd: python ./toy.py", True),
        ("params.yaml", "momentum: 0.9", "momentum: 0.8", True),
        ("params.yaml", "momentum: 0.9", "momentum: 0.9\n  new: 1", True),
        ("params.yaml", "resamples: 50", "resamples: 60", False),
        ("params.yaml", "seed: 0", "seed: 0\nnew: {key: 1}", False),
        (
            "params.yaml",
            "normal:\n  path: tests/data/",
            "normal:\n  path: tests/data/fashion-",
            True,
        ),
        ("tests/data/mnist-small/images", "old", "new", True),
        ("tests/data/fashion-mnist-small/images", "old", "new", False),
        ("dvc.yaml", "stages:", "# a comment\nstages:", False),
    ],
    ids=[
        "code",
        "comment in code",
        "command",
        "parameter",
        "new parameter in a section that is read",
        "parameter that no stage reads",
        "new section",
        "other folder",
        "images",
        "images that no stage reads",
        "comment",
    ],
)
def test_a_committed_change_makes_old_results_stale_unless_no_stage_sees_it(
    repository_copy: Path, file: str, old: str, new: str, is_stale: bool
) -> None:
    edit(repository_copy / file, old, new)
    git(repository_copy, "commit", "--quiet", "--all", "--message", "change")
    before = tables(repository_copy)
    process = grid(repository_copy, "--gather")
    nothing = "grid: out: no cell of the grid is finished, nothing to write\n"
    assert process.stderr == (nothing if is_stale else "")
    assert tables(repository_copy) == before


def test_stale_results_are_replaced(repository_copy: Path) -> None:
    edit(repository_copy / "toy.py", "weight / 100", "weight / 50")
    git(repository_copy, "commit", "--quiet", "--all", "--amend", "--message", "change")
    edit(repository_copy / "grid.yaml", "lambdas: [0, 1]", "lambdas: [1]")
    assert len(cells_run(grid(repository_copy))) == 1
    assert pd.read_csv(repository_copy / "out" / "grid.csv")[
        "detectors.mahalanobis.auroc"
    ].tolist() == [0.02]


def test_an_edited_file_of_the_pipeline_is_refused_in_one_line(repository_copy: Path) -> None:
    edit(repository_copy / "toy.py", "weight / 100", "weight / 50")
    process = grid(repository_copy)
    assert process.returncode == 2
    assert process.stderr == (
        "grid: toy.py: edited since the last commit, but the grid runs the committed version; "
        "run `git commit` or `git stash` first\n"
    )


def test_more_threads_than_cores_are_named_where_a_pair_sets_them(repository_copy: Path) -> None:
    edit(repository_copy / "grid.yaml", "own:\n", "own:\n    threads: 1024\n")
    edit(repository_copy / "grid.yaml", "lambdas: [0, 1]", "lambdas: [2]")
    process = grid(repository_copy)
    assert process.returncode == 0
    assert (
        f"--jobs 1 with 1024 threads each on {os.cpu_count()} cores: the threads compete"
        in process.stderr
    )


def test_cells_that_the_disk_cannot_hold_are_refused_before_any_runs(repository_copy: Path) -> None:
    """By what the last run left: its one stage depends on lambda, so that each cell makes it."""
    outs = "    - {path: reports/plots, hash: md5, md5: 0.dir, size: 8000000000000000}\n"
    (repository_copy / "dvc.lock").write_text(
        f"schema: '2.0'\nstages:\n  evaluate:\n    outs:\n{outs}"
    )
    git(repository_copy, "add", "dvc.lock")
    git(repository_copy, "commit", "--quiet", "--message", "lock")
    before = names_of(repository_copy)
    edit(repository_copy / "grid.yaml", "lambdas: [0, 1]", "lambdas: [2, 3]")
    process = grid(repository_copy)
    assert (process.returncode, names_of(repository_copy)) == (2, before)
    line = process.stderr.splitlines()[-1]
    assert re.sub(r"only [\d,.]+ GB", "only X GB", line) == (
        f"grid: {repository_copy}/.dvc/cache: 2 cells need about 16,000,000.0 GB in DVC's cache, "
        "but only X GB are free; run `dvc gc -w` to remove unused files, or run fewer cells with "
        "`--sweep`"
    )


def test_collecting_the_garbage_leaves_the_tables_and_runs_nothing_again(
    repository_copy: Path,
) -> None:
    """As the last line of a run says."""
    edit(repository_copy / "grid.yaml", "lambdas: [0, 1]", "lambdas: [0, 1, 2]")
    lines = grid(repository_copy).stderr.splitlines()
    assert (
        lines[-1] == "grid: `dvc gc -w` frees what the cells left in DVC's cache; the tables stay"
    )
    before = tables(repository_copy)
    subprocess.run(
        [sys.executable, "-m", "dvc", "gc", "-w", "-f", "-q"], cwd=repository_copy, check=True
    )
    second = grid(repository_copy)
    assert (second.returncode, cells_run(second), tables(repository_copy)) == (0, [], before)


def test_a_cell_that_fails_is_named_with_its_log_and_left_out(repository_copy: Path) -> None:
    process = grid(repository_copy, "--sweep", "refused")
    name = "refused-lambda-1.0-seed-0"
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == (
        f"grid: {name}: missing: toy: 13 images in a batch are refused; see "
        f"build/grid/logs/{name}.log"
    )
    assert (
        "toy: 13 images in a batch are refused"
        in (repository_copy / "build" / "grid" / "logs" / f"{name}.log").read_text()
    )
    assert set(pd.read_csv(repository_copy / "out" / "grid.csv")["pair"]) == {"own"}


def test_a_training_that_failed_is_a_result_and_does_not_run_again(repository_copy: Path) -> None:
    edit(repository_copy / "grid.yaml", "lambdas: [0, 1]", "lambdas: [0, 1, 4]")
    first = grid(repository_copy)
    name, failure = "own-lambda-4.0-seed-0", "train: the training failed 4 times; remedies: more"
    line = f"grid: {name}: missing: {failure}"
    assert first.returncode == 1
    assert first.stderr.splitlines()[-1] == f"{line}; see build/grid/logs/{name}.log"
    cells = pd.read_csv(repository_copy / "out" / "cells.csv")
    assert list(cells["failure"].fillna("")) == ["", "", failure]
    assert set(pd.read_csv(repository_copy / "out" / "grid.csv")["lambda"]) == {0, 1}
    before = tables(repository_copy)
    second = grid(repository_copy)
    assert (second.returncode, cells_run(second), tables(repository_copy)) == (0, [], before)
    assert second.stderr.splitlines()[-1] == line


def edited(folder: Path, old: str, new: str) -> None:
    """Edit the code of the stage, and commit it."""
    edit(folder / "toy.py", old, new)
    git(folder, "commit", "--quiet", "--all", "--message", "edited")


def test_a_sample_of_cells_confirms_that_a_refactoring_changes_nothing(
    repository_copy: Path,
) -> None:
    before = tables(repository_copy)
    edited(repository_copy, "batch == 13:\n", "batch in (13,):\n")
    process = grid(repository_copy, "--confirm", "1")
    assert process.returncode == 0, process.stderr
    assert process.stderr.splitlines()[-1] == (
        "grid: same rows as before: 1 cell; this confirms 1 other cell"
    )
    (run,) = cells_run(process)
    after = tables(repository_copy)
    cells = pd.read_csv(repository_copy / "out" / "cells.csv", dtype=str, na_filter=False)
    names_of_cells = "own-lambda-" + cells["lambda"] + ".0-seed-" + cells["seed"]
    notes = dict(zip(names_of_cells, cells["confirmed"], strict=True))
    commit = git(repository_copy, "rev-parse", "HEAD")[:12]
    assert notes.pop(run) == ""
    assert list(notes.values()) == [f"1 cell run again at {commit}"]
    assert {**before, "cells.csv": b""} == {**after, "cells.csv": b""}
    again = grid(repository_copy)
    assert (again.returncode, cells_run(again), tables(repository_copy)) == (0, [], after)


def test_a_sample_with_other_numbers_confirms_nothing(repository_copy: Path) -> None:
    before = tables(repository_copy)
    edited(repository_copy, "weight / 100 + seed", "weight / 100 + seed + 0.5")
    process = grid(repository_copy, "--confirm", "2")
    assert process.returncode == 1
    assert process.stderr.splitlines()[-3:] == [
        "grid: own-lambda-0.0-seed-0: grid.csv: detectors.mahalanobis.auroc: 0 before, 0.5 now",
        "grid: own-lambda-1.0-seed-0: grid.csv: detectors.mahalanobis.auroc: 0.01 before, 0.51 now",
        "grid: nothing is confirmed: run the grid again, without --confirm",
    ]
    assert tables(repository_copy) == before


def test_a_sample_of_more_cells_than_are_stale_is_refused(repository_copy: Path) -> None:
    process = grid(repository_copy, "--confirm", "1")
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1] == (
        "grid: --confirm: expected at most 0, the cells of out/cells.csv that were run with other "
        "code or parameters, got 1"
    )


def test_an_experiment_without_features_or_a_curve_is_named(repository_copy: Path) -> None:
    edit(repository_copy / "grid.yaml", "[mahalanobis, mlp_head]", "[mahalanobis, mlp_heed]")
    process = grid(repository_copy, "--sweep", "plain")
    assert process.returncode == 0
    assert process.stderr.splitlines()[-4:] == [
        f"grid: {pair}-lambda-1.0-seed-0: has no reports/plots/{file}; {table} is without it"
        for pair, file, table in (
            ("own", "roc/mlp_heed.csv", "roc.csv"),
            ("plain", "roc/mlp_heed.csv", "roc.csv"),
            ("plain", "features.csv", "features.csv"),
            ("plain", "anomaly_sets.csv", "anomaly_sets.csv"),
        )
    ]
    assert set(pd.read_csv(repository_copy / "out" / "features.csv")["pair"]) == {"own"}
    assert set(pd.read_csv(repository_copy / "out" / "roc.csv")["detector"]) == {"mahalanobis"}


def test_the_numbers_do_not_depend_on_how_many_cells_run_at_a_time(
    swept_repository: Path, tmp_path: Path
) -> None:
    second = repository(tmp_path / "second")
    assert grid(second, "--jobs", "2").returncode == 0
    assert tables(second) == tables(swept_repository)


@pytest.mark.parametrize(
    ("name", "left_running"), [(signal.SIGKILL, True), (signal.SIGTERM, False)], ids=str
)
def test_after_a_signal_the_next_start_finds_nothing_in_its_way(
    repository_copy: Path, name: signal.Signals, left_running: bool
) -> None:
    """A killed driver leaves DVC and its stage running; the next driver stops them."""
    clones = repository_copy / "build" / "grid" / "clones"
    with started(repository_copy, "--sweep", "slow") as driver:
        wait_for(lambda: "toy.py" in programs_in(clones))
        driver.send_signal(name)
        _, output = driver.communicate(timeout=30)
    assert bool(programs_in(clones)) == left_running
    assert ("run the same command to resume" in output) != left_running
    edit(repository_copy / "grid.yaml", "images: 600", "images: 1")
    process = grid(repository_copy, "--sweep", "slow")
    assert (process.returncode, cells_run(process)) == (0, ["slow-lambda-0.0-seed-0"])
    assert programs_in(clones) == []


def test_a_second_driver_is_refused_while_one_is_at_work(repository_copy: Path) -> None:
    lock = repository_copy / "build" / "grid" / "lock"
    with lock.open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        process = grid(repository_copy, "--sweep", "second")
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1] == (
        f"grid: {lock.parent}: another grid is running here; wait for its end"
    )


def test_a_cell_whose_worker_is_killed_is_a_failure_of_that_cell_alone(
    repository_copy: Path,
) -> None:
    edit(repository_copy / "grid.yaml", "pairs: [slow]", "pairs: [slow, own]")
    edit(repository_copy / "grid.yaml", "lambdas: [0]", "lambdas: [2]")
    clones = repository_copy / "build" / "grid" / "clones"
    with started(repository_copy, "--sweep", "slow", "--jobs", "2") as driver:
        wait_for(
            lambda: (
                "own-lambda-2.0-seed-0" in names_of(repository_copy)
                and "toy.py" in programs_in(clones)
            )
        )
        for process in processes_in(clones):
            with suppress(psutil.NoSuchProcess):  # the driver ends what its worker left, too
                process.kill()
        _, output = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "grid: slow-lambda-2.0-seed-0: missing: ended with code -9; see " in output
    assert pd.read_csv(repository_copy / "out" / "grid.csv")["lambda"].tolist() == [0, 1, 2]


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in a folder."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(folder):
                processes.append(process)
    return processes


def programs_in(folder: Path) -> list[str]:
    """Return the last word of each command line that runs in a folder."""
    words = []
    for process in processes_in(folder):
        with suppress(psutil.Error):
            words += process.cmdline()[-1:]
    return words


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
