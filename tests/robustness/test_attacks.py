"""Attacks by folders, names and streams: links, pipes, locks, escape sequences."""

import base64
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

import belong
from belong.commands.fit.workspace import Workspace
from belong.commands.main import main
from belong.data.file_discovery import LEADS_OUT, below
from belong.data.image_folder import list_images
from belong.prediction.scoring_options import ScoringOptions
from belong.prediction.scoring_run import score_files
from belong.runtime import process_lock
from belong.runtime.errors import InputError
from belong.runtime.process_lock import one_writer
from belong.runtime.storage import read_bytes, save_text, whole_file, whole_folder
from belong.runtime.text import harmless, in_table, on_stderr, percent_of, printable, say
from belong.runtime.typed_yaml import read
from belong.runtime.unfinished import unfinished
from tests.imports import ROOT
from tests.untrained_bundle import save_untrained


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    save_untrained(folder)
    return folder


def image(path: Path, number: int = 0) -> None:
    """Write 28 x 28 pixels that state a number in their first row."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[0, :8] = [255 * int(bit) for bit in f"{number:08b}"]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def score_code(images: Path, model: Path, *more: str) -> int:
    out = images.parent / "out"
    return main(["score", str(images), "--model", str(model), "-o", str(out), *more])


# --- names that are printed alike ---------------------------------------------------------------


@pytest.fixture
def similar_names(tmp_path: Path) -> Path:
    r"""Nine images; a\xe9.png by its bytes is no image, and by its letters is one."""
    for number in range(8):
        image(tmp_path / "in" / f"b{number}.png", number)
    image(tmp_path / "in" / r"a\xe9.png", 99)
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/a\xe9.png")).write_bytes(b"no image")
    return tmp_path / "in"


def counts_on_page(page: str) -> dict[str, int]:
    """Return the number that each picture of a gallery states, by the path beside it."""
    data = json.loads(re.findall(r'id="gallery-data">(.*?)</script>', page, re.DOTALL)[0])
    (uri,), across = data["pictures"]["uris"], data["pictures"]["across"]
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as file:
        sheet = np.asarray(file.convert("L"))
    numbers = {}
    for place, path in enumerate(data["images"]["path"]):
        row, column = divmod(place, across)
        bits = sheet[28 * row, 28 * column : 28 * column + 8] > 127
        numbers[path] = int("".join(str(int(bit)) for bit in bits), 2)
    return numbers


def test_beside_each_verdict_of_the_gallery_stands_its_own_picture(
    similar_names: Path, model: Path
) -> None:
    assert score_code(similar_names, model, "--batch-size", "4") == 0
    numbers = counts_on_page((similar_names.parent / "out" / "gallery.html").read_text())
    assert numbers == {r"a\xe9.png": 99} | {f"b{number}.png": number for number in range(8)}


def test_the_times_of_a_stream_are_those_of_its_own_images(
    similar_names: Path, model: Path
) -> None:
    for number in range(8):
        os.utime(similar_names / f"b{number}.png", (100 - number, 100 - number))
    os.utime(similar_names / r"a\xe9.png", (1, 1))
    rows = belong.watch(similar_names, model=model).images
    assert rows["path"].tolist() == [r"a\xe9.png", *(f"b{n}.png" for n in reversed(range(8)))]


def test_a_file_that_is_named_twice_has_two_rows(similar_names: Path, model: Path) -> None:
    file = similar_names / "b1.png"
    predictions = belong.load_model(model).predict([file, file, similar_names / "b2.png"])
    assert predictions.path.tolist() == [str(file), str(file), str(similar_names / "b2.png")]
    assert predictions.score[0] == predictions.score[1] != predictions.score[2]


# --- links --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["private", "private/0.png", "/"])
def test_a_link_out_of_an_upload_is_told_and_not_followed(target: str, tmp_path: Path) -> None:
    image(tmp_path / "in" / "own.png")
    image(tmp_path / "private" / "0.png")
    (tmp_path / "in" / "more.png").symlink_to(tmp_path / target)
    incoming = below(tmp_path / "in")
    assert (incoming.files, incoming.shut) == (["own.png"], [("more.png", LEADS_OUT)])


def test_links_are_followed_where_the_user_says_so(tmp_path: Path, model: Path) -> None:
    image(tmp_path / "in" / "own.png")
    image(tmp_path / "other" / "0.png")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "other")
    assert below(tmp_path / "in", follow_links=True).files == ["more/0.png", "own.png"]
    assert len(belong.load_model(model).predict(tmp_path / "in", follow_links=True)) == 2
    assert score_code(tmp_path / "in", model, "--follow-links", "--no-gallery") == 0
    assert "more/0.png" in (tmp_path / "out" / "predictions.csv").read_text()


def test_links_that_are_not_followed_are_counted_on_standard_error(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a tree that `belong clean --link` or DVC with cache.type symlink has made."""
    for number in range(3):
        image(tmp_path / "other" / f"{number}.png")
        (tmp_path / "in" / "cats").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "cats" / f"{number}.png").symlink_to(tmp_path / f"other/{number}.png")
    message = f"{tmp_path}/in: 3 links lead out of the folder: not read without --follow-links\n"
    assert score_code(tmp_path / "in", model, "--no-gallery") == 3
    assert capsys.readouterr().err.startswith(message)
    assert score_code(tmp_path / "in", model, "--no-gallery", "--follow-links") == 0
    assert "--follow-links" not in capsys.readouterr().err


def test_a_single_image_is_told_the_share_that_is_rejected_on_average(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(tmp_path / "in" / "own.png")
    assert score_code(tmp_path / "in", model, "--no-gallery") == 0
    alpha = belong.load_model(model).alpha
    assert f"expected if all belong: {percent_of(alpha)} on average" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["[" * 5000, "{a: " * 5000])
def test_a_setting_that_is_nested_too_deeply_is_one_line(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", str(tmp_path), "-o", str(tmp_path / "out"), "--set", f"seed={value}"]
    assert main(words) == 2
    output = capsys.readouterr().err
    assert output.endswith("not valid YAML after the =\n")
    assert len(output) < 300
    (tmp_path / "params.yaml").write_text(f"seed: {value}")
    with pytest.raises(InputError, match="not valid YAML: nested too deeply"):
        read(tmp_path / "params.yaml")


def test_a_link_inside_of_the_folder_is_followed(tmp_path: Path) -> None:
    image(tmp_path / "in" / "a" / "0.png")
    (tmp_path / "in" / "same.png").symlink_to(tmp_path / "in" / "a" / "0.png")
    assert below(tmp_path / "in").files == ["a/0.png", "same.png"]


@pytest.mark.parametrize("deep", [1100])
def test_a_folder_may_be_deeper_than_python_calls_functions(deep: int, tmp_path: Path) -> None:
    image(tmp_path / "in" / "a" / "0.png")
    folder = tmp_path / "in" / "a"
    for _ in range(deep):
        folder /= "d"
        folder.mkdir()
    image(folder / "1.png")
    try:
        assert len(below(tmp_path / "in").files) == len(list_images(tmp_path / "in").files) == 2
    finally:  # pytest would call itself as often
        (folder / "1.png").unlink()
        for path in [folder, *folder.parents][:deep]:
            path.rmdir()


# --- locks and hidden folders --------------------------------------------------------------------

THESIS = "my only copy of the thesis\n"


def linked(file: Path, thesis: Path) -> None:
    file.symlink_to(thesis)


def hard_linked(file: Path, thesis: Path) -> None:
    file.hardlink_to(thesis)


def plain_copy(file: Path, thesis: Path) -> None:
    file.write_text(thesis.read_text())


@pytest.mark.parametrize("place_file", [linked, hard_linked, plain_copy])
def test_a_lock_writes_over_no_file(
    place_file: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    thesis = tmp_path / "thesis.tex"
    thesis.write_text(THESIS)
    place_file(tmp_path / ".out.lock", thesis)
    with pytest.raises(InputError, match=r"\.out\.lock: is (a link|no lock of belong); remove it"):
        one_writer(tmp_path / "out", print).__enter__()
    assert thesis.read_text() == (tmp_path / ".out.lock").read_text() == THESIS


def test_a_pipe_is_refused_as_a_lock(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".out.lock")
    with pytest.raises(InputError, match="is no file"):
        one_writer(tmp_path / "out", print).__enter__()


def denied(lock: FileLock, file: Path) -> None:
    """Make a lock behave like one of another user."""

    def acquire(**_options: object) -> None:
        if file.exists():
            raise PermissionError(13, "Permission denied", str(file))
        FileLock.acquire(lock, timeout=0)

    lock.acquire = acquire  # type: ignore[assignment, method-assign]


def test_the_lock_that_a_killed_process_of_another_user_left_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".out.lock"
    file.write_text("12345\n")

    def others(path: Path, *, poll_interval: float) -> FileLock:
        lock = FileLock(path, poll_interval=poll_interval)
        denied(lock, file)
        return lock

    monkeypatch.setattr(process_lock, "FileLock", others)
    with one_writer(tmp_path / "out", print):
        assert file.read_text() == f"{os.getpid()}\n"
    assert not file.exists()


def test_whoever_may_write_the_results_may_finish_the_run_of_another_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o2777)  # a folder that several users share
    with unfinished(tmp_path, "run") as folder:
        Workspace(tmp_path / ".model.work", "key")
        modes = [path.stat().st_mode & 0o7777 for path in (folder, tmp_path / ".model.work")]
    assert modes == [0o2777, 0o2777]


def test_hidden_folders_of_a_persons_own_stay(tmp_path: Path, model: Path) -> None:
    image(tmp_path / "in" / "0.png")
    files = [
        tmp_path / "out" / ".unfinished" / "thesis.tex",
        tmp_path / ".ours.work" / "thesis.tex",
    ]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text(THESIS)
    assert score_code(tmp_path / "in", model, "--no-gallery") == 0
    with pytest.raises(InputError, match=r"\.ours\.work: not a work folder of belong fit"):
        belong.fit(tmp_path / "in", tmp_path / "ours")
    (tmp_path / "ours").mkdir()
    with pytest.raises(InputError, match="exists already"):
        belong.fit(tmp_path / "in", tmp_path / "ours")
    assert [file.read_text() for file in files] == [THESIS] * 2


def test_the_folder_of_an_unfinished_run_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".unfinished").symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match=r"\.unfinished: is a link; remove it"):
        unfinished(tmp_path / "out", "run").__enter__()
    assert not [*(tmp_path / "other").iterdir()]


def test_links_in_the_place_of_temporary_names_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis").write_text(THESIS)
    for name in ("file", "folder"):
        (tmp_path / f".{name}.{os.getpid()}.part").symlink_to(tmp_path / "other")
    with whole_file(tmp_path / "file") as part:
        part.write_text("x")
    with whole_folder(tmp_path / "folder") as part:
        save_text(part / "x", "x")
    assert (tmp_path / "other" / "thesis").read_text() == THESIS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "other"]


def test_the_gallery_is_written_before_another_run_has_its_turn(
    tmp_path: Path, model: Path
) -> None:
    image(tmp_path / "in" / "0.png")
    locks = []
    score_files(
        below(tmp_path / "in"), belong.load_model(model), tmp_path / "out", ScoringOptions(1),
        source="in", say=print,
        finish=lambda read: locks.append((read, (tmp_path / "out/.predictions.csv.lock").exists())),
    )  # fmt: skip
    assert locks == [(["0.png"], True)]


# --- pipes and devices ---------------------------------------------------------------------------


def test_pipes_devices_and_endless_files_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(2**40)
    for name, reason in (("pipe", "is no file"), ("zero", "is no file"), ("hole", "has more than")):
        with pytest.raises(OSError, match=reason):
            read_bytes(tmp_path / name)


@pytest.mark.parametrize("command", ["check", "fit"])
def test_pipes_named_as_idx_files_are_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            os.mkfifo(tmp_path / f"{part}-{kind}-ubyte")
    output = ["-o", str(tmp_path.parent / "model")] if command == "fit" else []
    assert main([command, str(tmp_path), *output]) == 2
    assert "cannot be read: is no file" in capsys.readouterr().err


def test_a_summary_that_is_a_pipe_is_no_summary(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(tmp_path / "in" / "0.png")
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "summary.json")
    assert score_code(tmp_path / "in", model) == 2
    assert "has the summary.json of other images" in capsys.readouterr().err


# --- what is printed -----------------------------------------------------------------------------

ESCAPE = "a\x1b]0;owned\x07\x1b[2J\r\nall belong\x85\x9b31m\u202egnp.b\u2028.png"
ESCAPED = r"a\x1b]0;owned\x07\x1b[2J\r\nall belong\x85\x9b31m\u202egnp.b\u2028.png"


def test_names_do_nothing_to_a_terminal_and_tables_keep_them() -> None:
    assert printable(ESCAPE) == ESCAPED
    assert harmless(ESCAPE) == ESCAPED.replace(r"\n", "\n")
    assert harmless("two\n\tlines: Größe 図") == "two\n\tlines: Größe 図"
    assert in_table(ESCAPE) == ESCAPE


@pytest.mark.parametrize("command", ["score", "watch", "check"])
def test_a_command_prints_no_control_sequence_of_a_name(
    command: str, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in\x1b[31m"
    for name in ("a\x1b[2J", "b"):
        image(folder / name / f"x{ESCAPE}")
        (folder / name / f"y{ESCAPE}").write_text("no image")
    words = {
        "score": ["--model", str(model), "-o", str(tmp_path / "out\x1b[31m")],
        "watch": ["--model", str(model)],
        "check": [],
    }
    main([command, str(folder), *words[command]])
    output = "".join(capsys.readouterr())
    assert output
    assert not set(output) & set("\x1b\r\x07\x85\x9b\u202e\u2028")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_command_works_where_standard_streams_are_closed(
    closed: str, tmp_path: Path, model: Path
) -> None:
    image(tmp_path / "in" / "0.png")
    line = f'exec "{sys.executable}" -m belong score in --model "{model}" -o out {closed}'
    process = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, "")
    names = [
        "gallery.html",
        "ignored.csv",
        "predictions.csv",
        "summary.json",
        "unreadable.csv",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_a_message_for_a_closed_standard_error_is_not_printed_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    on_stderr("a message")
    say("another one")
    assert capsys.readouterr().out == ""


def test_an_error_of_a_command_without_standard_error_is_not_in_its_output(tmp_path: Path) -> None:
    line = f'exec "{sys.executable}" -m belong score missing --model missing -o out 2>&-'
    process = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (process.returncode, process.stdout) == (2, "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--alpha", "5e-324", "--calibration-images", "2999"], "expected at least"),
        (["--alpha", "0.1", "--calibration-images", "1" + "0" * 400], "expected a whole number"),
    ],
)
def test_absurd_numbers_are_refused(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "predictions.csv"
    table.write_text("path,class,belongs,p_value\na,b,True,0.5\n")
    try:
        code = main(["watch", str(table), *words])
    except SystemExit as exit_error:
        code = int(str(exit_error.code))
    assert code == 2
    assert says in capsys.readouterr().err


def test_the_model_of_a_folder_is_verified_beside_a_lock_file_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_untrained(tmp_path / "m")
    (tmp_path / "m" / "dvc.lock").write_text('schema: "2.0"\nstages: {}\n')
    (tmp_path / "m" / "dvc.yaml").write_text("stages: {}\n")
    content = bytearray((tmp_path / "m" / "network.safetensors").read_bytes())
    content[-5] ^= 1
    (tmp_path / "m" / "network.safetensors").write_bytes(content)
    assert main(["verify", str(tmp_path / "m")]) == 4
    assert "network.safetensors: is altered" in capsys.readouterr().out
