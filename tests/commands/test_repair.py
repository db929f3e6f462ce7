"""`make` repairs a dvc.lock cut off by a kill and incomplete files before `dvc repro`."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from belong.commands.verify.dvc_lock import outputs, refused
from belong.commands.verify.repair import main
from tests.clones import call, commit
from tests.imports import ROOT
from tests.small_pipeline import make_pipeline

OUT = "    outs: [metrics.json]\n"
EVALUATE = f"  evaluate:\n    cmd: python -m stages.evaluate\n{OUT}"
EVALUATE_LOCK = """  evaluate:
    cmd: python -m stages.evaluate
    outs:
    - path: metrics.json
      hash: md5
      md5: d41d8cd98f00b204e9800998ecf8427e
      size: 0
"""
NOBODY = 2**22 + 1  # above every number that Linux gives to a process


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pipeline = make_pipeline(tmp_path / "pipeline")
    call(pipeline, "git", "init", "-q")
    commit(pipeline)
    return pipeline


def with_evaluate(root: Path) -> str:
    """Add a second stage that has run; return the text of dvc.lock."""
    with (root / "dvc.yaml").open("a") as dvc_yaml, (root / "dvc.lock").open("a") as lock:
        dvc_yaml.write(EVALUATE)
        lock.write(EVALUATE_LOCK)
    commit(root)
    return (root / "dvc.lock").read_text()


@pytest.mark.robustness
@pytest.mark.parametrize("name", ["dvc.lock", "data/dvc.lock"])
@pytest.mark.parametrize("end", [0, 20, "deps:\n", "cmd", "outs:\n"])
def test_a_lock_that_dvc_refuses_is_brought_back_as_it_was_committed(
    name: str, end: int | str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = root / name
    whole = lock.read_text()
    at = end if isinstance(end, int) else whole.find(end) + len(end)
    lock.write_text(whole[:at])
    assert refused(lock)
    assert main(root) == 0
    assert lock.read_text() == whole
    assert f"{lock}: was cut off; restored the committed version\n" in capsys.readouterr().err


@pytest.mark.parametrize("last", ["outs:", "- path: data/plots", "evaluate:"])
def test_a_cut_lock_that_dvc_reads_is_brought_back_as_it_was_committed(
    last: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DVC would treat the stages after the cut as never run."""
    whole = with_evaluate(root)
    lock = root / "dvc.lock"
    lock.write_text(whole[: whole.index(last)].rstrip(" "))
    assert refused(lock) is None
    assert main(root) == 0
    assert lock.read_text() == whole
    assert f"{lock}: was cut off; restored the committed version\n" in capsys.readouterr().err


@pytest.mark.parametrize("removed", ["the stage", "its output"])
def test_a_lock_without_what_the_user_took_out_of_dvc_yaml_is_whole(
    removed: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = with_evaluate(root)
    lock, dvc_yaml = root / "dvc.lock", root / "dvc.yaml"
    ours, first = (
        (EVALUATE, "evaluate:") if removed == "the stage" else (OUT, "outs:\n    - path: m")
    )
    dvc_yaml.write_text(dvc_yaml.read_text().replace(ours, ""))
    shorter = whole[: whole.index(first)].rstrip(" ")
    lock.write_text(shorter)
    assert main(root) == 0
    assert lock.read_text() == shorter
    assert capsys.readouterr().err == ""


def test_a_stage_that_was_never_run_is_no_cut(root: Path) -> None:
    dvc_yaml = root / "dvc.yaml"
    dvc_yaml.write_text(dvc_yaml.read_text() + EVALUATE)
    before = (root / "dvc.lock").read_text()
    assert main(root) == 0
    assert (root / "dvc.lock").read_text() == before


def test_a_cut_lock_that_git_cannot_bring_back_names_the_lost_stage(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = with_evaluate(root)
    (root / "dvc.lock").write_text(whole[: whole.index("evaluate:")].rstrip(" "))
    (root / ".git" / "index.lock").touch()  # left by a git process that was killed
    assert main(root) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "dvc.lock: cut off: evaluate missing; restore it with `git restore " in line


def test_a_lock_that_is_whole_stays_as_it_is_though_another_is_committed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = root / "dvc.lock"
    newer = lock.read_text().replace("size: 7", "size: 8")
    lock.write_text(newer)
    assert main(root) == 0
    assert lock.read_text() == newer
    assert capsys.readouterr().err == ""


def test_without_a_committed_lock_the_answer_is_one_line_and_code_4(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(root, "git", "rm", "--cached", "--quiet", "dvc.lock")
    (root / "dvc.lock").write_text("")
    assert main(root) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "dvc.lock: cut off or altered: " in line


def test_nothing_is_touched_while_dvc_has_the_folder(root: Path) -> None:
    (root / "dvc.lock").write_text("")
    (root / ".dvc" / "tmp").mkdir()
    with (root / ".dvc" / "tmp" / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(root) == 0
    assert (root / "dvc.lock").read_text() == ""


def test_files_of_dead_processes_are_removed_and_those_of_living_ones_stay(root: Path) -> None:
    figures = root / "reports" / f".figures.{NOBODY}.part"
    figures.mkdir(parents=True)
    (figures / "roc.png").touch()
    (root / "data" / f".x.csv.{NOBODY}.part").touch()
    ours = root / "data" / ".y.csv.1.part"  # of the machine's first process
    ours.touch()
    assert main(root) == 0
    assert sorted(root.rglob(".*.part")) == [ours]


def test_a_lock_that_dvc_cannot_read_is_refused_by_verify(root: Path) -> None:
    """A file cut off after `deps:` is valid YAML with stages; `dvc repro` does not repair it."""
    lock = root / "dvc.lock"
    whole = lock.read_text()
    lock.write_text(whole[: whole.index("deps:") + len("deps:\n")])
    with pytest.raises(
        ValueError, match=r"DVC cannot read it; restore it with `git restore .*dvc\.lock`"
    ):
        outputs(root)


def test_make_mends_before_it_runs_dvc(tmp_path: Path) -> None:
    commands = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "all", f"VENV={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    at = commands.index("dvc repro")
    assert commands[at - 1] == "python -m belong.commands.verify.repair ."
