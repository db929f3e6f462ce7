"""`belong verify` finds every changed byte and prints the command that repairs it."""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_objects.fs.local import LocalFileSystem

from belong.commands.main import main
from belong.commands.verify.dvc_cache import listing_bytes
from belong.prediction.manifest import StoredFile
from tests.small_manifest import a_manifest
from tests.small_pipeline import FILES, cached, make_pipeline

MODEL, ROC = FILES["data/model.bin"], FILES["data/plots/roc.csv"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_pipeline(tmp_path / "pipeline")


def verify_output(
    folder: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, list[str]]:
    code = main(["verify", str(folder), *more])
    captured = capsys.readouterr()
    assert not captured.err
    return code, captured.out.splitlines()


def test_untouched_outputs_match(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Four outputs, and in the cache the same four and the lists of the two folders.
    assert verify_output(root, capsys) == (0, ["10 files read; all match"])


def test_the_list_of_a_folder_is_the_one_that_dvc_makes(root: Path) -> None:
    system, folder = LocalFileSystem(), root / "data" / "plots"
    _, _, tree = build(HashFileDB(system, ""), str(folder), system, "md5", dry_run=True)
    sums = {
        path.relative_to(folder).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324
        for path in folder.rglob("*.csv")
    }
    assert hashlib.md5(listing_bytes(sums)).hexdigest() + ".dir" == tree.hash_info.value  # noqa: S324


def altered(path: Path) -> None:
    """Change the bytes of a file, but not its size or its time."""
    before = path.stat()
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def without_cache(root: Path) -> None:
    shutil.rmtree(root / ".dvc" / "cache")
    altered(root / "data" / "model.bin")


def both(root: Path) -> None:
    altered(root / "data" / "model.bin")
    altered(cached(root, MODEL))


def one_more(root: Path) -> None:
    (root / "data" / "plots" / "more.csv").touch()


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "an output is altered": (
        lambda root: altered(root / "data" / "model.bin"),
        "train: data/model.bin: is altered; to repair it: cd R && rm -r data/model.bin && "
        "dvc checkout data/model.bin",
    ),
    "an output is missing": (
        lambda root: (root / "data" / "model.bin").unlink(),
        "train: data/model.bin: is missing; to repair it: cd R && dvc checkout data/model.bin",
    ),
    "nothing is cached": (
        without_cache,
        "train: data/model.bin: is altered; to repair it: cd R && rm -r data/model.bin && "
        "dvc repro train",
    ),
    "a file of a folder is altered": (
        lambda root: altered(root / "data" / "plots" / "roc.csv"),
        "train: data/plots: is altered (roc.csv); to repair it: cd R && rm -r data/plots && "
        "dvc checkout data/plots",
    ),
    "a folder has one file more": (
        one_more,
        "train: data/plots: is altered (more.csv); to repair it: cd R && rm -r data/plots && "
        "dvc checkout data/plots",
    ),
    "the cache is altered": (
        lambda root: altered(cached(root, MODEL)),
        "train: data/model.bin: its copy in DVC's cache is altered; to repair it: cd R && "
        "rm -f C && dvc commit --force train",
    ),
    "the output and the cache are altered": (
        both,
        "train: data/model.bin: is altered, and its copy in DVC's cache is altered; to repair "
        "it: cd R && rm -f C && rm -r data/model.bin && dvc repro train",
    ),
    "the output of a stage beside is missing": (
        lambda root: shutil.rmtree(root / "data" / "raw" / "mnist"),
        "data/dvc.yaml:fetch@mnist: data/raw/mnist: is missing; to repair it: cd R && "
        "dvc checkout data/raw/mnist",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_what_does_not_match_is_named_with_its_stage_and_what_mends_it(
    case: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, message = SPOILED[case]
    spoil(root)
    code, (line, last) = verify_output(root, capsys)
    assert line == message.replace("cd R", f"cd {root}").replace(
        "-f C", f"-f {cached(root, MODEL)}"
    )
    assert code == 4
    assert last.endswith("read; 1 does not match")


def test_a_list_of_a_folder_that_is_altered_in_the_cache_is_found(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (root / ".dvc" / "cache" / "files" / "md5").glob("*/*.dir"):
        altered(path)
    code, lines = verify_output(root, capsys)
    assert code == 4
    assert [line.split(": its copy")[0] for line in lines[:-1]] == [
        "train: data/plots", "data/dvc.yaml:fetch@mnist: data/raw/mnist",
    ]  # fmt: skip


def test_what_the_cache_keeps_of_another_run_is_read_if_that_is_asked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = cached(root, b"other")
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(b"spoilt")
    assert verify_output(root, capsys)[0] == 0
    code, (line, _) = verify_output(root, capsys, "--whole-cache")
    assert code == 4
    assert line == (
        f"DVC's cache: {other}: is altered (a file of another run); to repair it: rm -f {other}"
    )


def test_an_output_that_is_a_link_to_the_cache_is_read_once(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "data" / "model.bin").unlink()
    (root / "data" / "model.bin").hardlink_to(cached(root, MODEL))
    altered(cached(root, MODEL))
    code, (line, _) = verify_output(root, capsys)
    assert code == 4
    assert "is altered, and its copy in DVC's cache is altered" in line


@pytest.mark.parametrize("content", ["", "stages:\n  train:\n   - [", "stages: [1]", "[]"])
def test_a_dvc_lock_that_is_cut_off_is_one_line_with_what_brings_it_back(
    content: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = root / "dvc.lock"
    lock.write_text(content)
    assert main(["verify", str(root)]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"belong verify: {lock}: cut off or altered: ")
    assert line.endswith(f"restore it with `git restore {lock}`")


@pytest.mark.parametrize("last", ["outs:", "- path: data/plots"])
def test_a_dvc_lock_that_is_cut_off_between_two_lines_names_the_stage(
    last: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = root / "dvc.lock"
    whole = lock.read_text()
    before = whole.index(last)
    lock.write_text(whole[:before].rstrip(" "))
    code, lines = verify_output(root, capsys)
    assert code == 4
    assert lines[-2] == (
        f"train: {lock}: is cut off, or the stage has not been run; to repair it: cd {root} && "
        f"dvc repro train"
    )


@pytest.mark.parametrize("sum_", ["", "7", "zz", "../../../../etc/passwd"])
def test_a_sum_in_dvc_lock_that_is_none_is_one_line(
    sum_: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = root / "dvc.lock"
    lock.write_text(re.sub(r"md5: [0-9a-f]+", f"md5: {sum_}", lock.read_text(), count=1))
    assert main(["verify", str(root)]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"belong verify: {lock}: outputs of train")


def test_data_that_no_stage_reads_need_not_be_fetched(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = root / "dvc.lock"
    lock.write_text(lock.read_text().replace("data/raw/mnist", "photos/ours"))
    shutil.rmtree(root / "data" / "raw" / "mnist")
    assert verify_output(root, capsys)[0] == 0


def test_a_folder_that_is_neither_pipeline_nor_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"belong verify: {tmp_path}: expected the folder of a pipeline, with dvc.lock, or of a "
        f"model, with manifest.json\n"
    )


def test_without_dvc_a_pipeline_is_one_line_with_what_brings_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "dvc", None)
    assert main(["verify", str(root)]) == 2
    assert capsys.readouterr().err == (
        "belong verify: dvc is not installed; run pip install dvc configobj vl-convert-python\n"
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "network.safetensors").write_bytes(MODEL)
    stored_file = StoredFile(sha256=hashlib.sha256(MODEL).hexdigest(), bytes=len(MODEL))
    files = {"network.safetensors": stored_file}
    (folder / "manifest.json").write_text(a_manifest().model_copy(update={"files": files}).text)
    return folder


def test_a_whole_model_matches(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_output(model, capsys) == (0, ["2 files read; all match"])


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (altered, "is altered"),
        (lambda path: path.write_bytes(MODEL[:3]), "expected 7 bytes, got 3"),
        (Path.unlink, "is missing"),
        (a_pipe, "is not a file"),
    ],
    ids=["altered", "cut off", "missing", "a pipe"],
)
def test_a_file_of_a_model_that_does_not_match_is_named(
    spoil: Callable[[Path], object], problem: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model / "network.safetensors"
    spoil(path)
    code, (line, _) = verify_output(model, capsys)
    assert code == 4
    assert line.startswith(f"{path}: {problem}; to repair it: copy the model again")


def test_an_altered_manifest_ends_with_code_4(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered(model / "manifest.json")
    assert main(["verify", str(model)]) == 4
    assert "is cut off or altered; it is not what was saved" in capsys.readouterr().err
