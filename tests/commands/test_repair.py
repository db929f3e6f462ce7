"""What `make` mends before `dvc repro`: a dvc.lock that a kill cut off, files half written."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from belong.commands.verify.dvc_lock import outputs, refused
from belong.commands.verify.mend import main
from tests.clones import call, commit
from tests.imports import ROOT
from tests.small_pipeline import make_pipeline

NOBODY = 2**22 + 1  # above every number that Linux gives to a process


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = make_pipeline(tmp_path / "pipeline")
    call(made, "git", "init", "-q")
    commit(made)
    return made


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
    assert f"{lock}: was cut off; the committed one is back\n" in capsys.readouterr().err


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
    assert "dvc.lock: it is cut off or altered: " in line


def test_nothing_is_touched_while_dvc_has_the_folder(root: Path) -> None:
    (root / "dvc.lock").write_text("")
    (root / ".dvc" / "tmp").mkdir()
    with (root / ".dvc" / "tmp" / "lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(root) == 0
    assert (root / "dvc.lock").read_text() == ""


def test_what_a_dead_process_left_goes_and_what_a_living_one_writes_stays(root: Path) -> None:
    figures = root / "reports" / f".figures.{NOBODY}.part"
    figures.mkdir(parents=True)
    (figures / "roc.png").touch()
    (root / "data" / f".x.csv.{NOBODY}.part").touch()
    ours = root / "data" / ".y.csv.1.part"  # of the machine's first process
    ours.touch()
    assert main(root) == 0
    assert sorted(root.rglob(".*.part")) == [ours]


def test_what_dvc_refuses_for_want_of_a_value_is_no_lock_for_verify_either(root: Path) -> None:
    """Cut off behind `deps:` it is YAML with stages, and no `dvc repro` would mend it."""
    lock = root / "dvc.lock"
    whole = lock.read_text()
    lock.write_text(whole[: whole.index("deps:") + len("deps:\n")])
    with pytest.raises(ValueError, match=r"DVC does not read it; `git restore .*dvc\.lock` brings"):
        outputs(root)


def test_make_mends_before_it_runs_dvc(tmp_path: Path) -> None:
    told = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "all", f"VENV={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert told[-2:] == ["python -m belong.commands.verify.mend .", "dvc repro"]
