"""All images in a folder of uploads are found, in order, whatever other files it contains."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from multiprocessing import spawn
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from belong.data import isolation
from belong.data.decode_pool import AHEAD_BYTES, FEW, Decoder, Picture, decoded
from belong.data.file_discovery import below, listed
from belong.data.image_form import ImageForm
from belong.data.isolation import ENDED
from belong.runtime.errors import InputError
from tests.imports import ROOT
from tests.photo_folders import write_images
from tests.privileges import as_any_user

FORM = ImageForm(
    channels=1, height=4, width=4, color="grey", resize="cover", background=(255, 255, 255),
    max_pixels=1000,
)  # fmt: skip
DECODER = Decoder.of(FORM)


def test_files_come_in_the_order_of_their_sorted_paths(tmp_path: Path) -> None:
    names = ["a-b.png", "a/b.png", "a/b/c.png", "a.png", "B.png", "b/a.png"]
    write_images(tmp_path, *names)
    by_path = [str(path) for path in sorted(Path(name) for name in names)]
    assert below(tmp_path).files == by_path


def test_hidden_files_and_files_that_are_no_images_are_ignored(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png", ".b.png", ".thumbs/c.png", "__MACOSX/d.png")
    (tmp_path / "notes.txt").write_text("")
    incoming = below(tmp_path)
    assert incoming.files == ["a.png"]
    assert sorted(incoming.ignored) == [
        (".b.png", "a hidden file"),
        (".thumbs", "a hidden folder"),
        ("__MACOSX", "a hidden folder"),
        ("notes.txt", "not an image, by its name and content"),
    ]


@pytest.mark.parametrize("name", ["a.dng", "a.SVG", "a.pdf"])
def test_pictures_of_kinds_that_are_not_read_are_named_and_not_passed_over(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("x")
    assert below(tmp_path).files == [name]
    why = DECODER.decode(tmp_path / name)
    assert (
        why == f"{Path(name).suffix.lower()} files are not supported; save the image as JPEG or PNG"
    )


def test_links_that_run_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    write_images(tmp_path, "in/a.png")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "z").symlink_to(tmp_path / "in")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    incoming = below(tmp_path)
    assert incoming.files == ["in/a.png", "self.png"]
    assert DECODER.decode(tmp_path / "self.png") == "a broken link"


def test_a_folder_that_is_shut_is_listed_with_the_reason(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png", "shut/b.png")
    (tmp_path / "shut").chmod(0)
    program = (
        "import pathlib, sys; from belong.data.file_discovery import below;"
        "found = below(pathlib.Path(sys.argv[1])); print(found.files, found.shut)"
    )
    words = [*as_any_user(), sys.executable, "-c", program, str(tmp_path)]
    output = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (tmp_path / "shut").chmod(0o700)
    assert output == "['a.png'] [('shut', 'Permission denied')]\n"


def test_a_folder_that_is_gone_meanwhile_is_listed_with_the_reason(tmp_path: Path) -> None:
    assert below(tmp_path / "gone").shut == [(".", "No such file or directory")]


def test_a_folder_without_an_image_says_what_else_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"expected images, got none \(1 other file or folder\)"):
        below(tmp_path)


def test_listed_paths_are_sorted_and_each_is_taken_once() -> None:
    incoming = listed([b"b/x.png\n", b"a.dat\r\n", b"\n", b"b/x.png\n", b"caf\xe9.png"])
    assert incoming.files == ["a.dat", "b/x.png", "caf\udce9.png"]


def test_an_empty_list_is_a_mistake() -> None:
    with pytest.raises(InputError, match="standard input: expected one path per line"):
        listed([b"\n"])


def same(answer: Picture | str, expected: Picture | str) -> bool:
    if isinstance(answer, str) or isinstance(expected, str):
        return answer == expected
    return answer.frames == expected.frames and np.array_equal(answer.pixels, expected.pixels)


def test_a_file_is_brought_to_the_form_of_the_model(tmp_path: Path) -> None:
    Image.new("RGB", (12, 8), (255, 0, 0)).save(tmp_path / "red.png")
    answer = DECODER.decode(tmp_path / "red.png")
    # The luma of red: 0.299 x 255 = 76.2.
    assert same(answer, Picture(np.full((1, 4, 4), 76, np.uint8), frames=1))


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "empty: 0 bytes"), (b"hello", "not an image, or not in a supported format")],
)
def test_a_file_without_pixels_says_why(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert DECODER.decode(tmp_path / "a.png") == why


def test_a_name_that_is_too_long_says_so(tmp_path: Path) -> None:
    assert DECODER.decode(tmp_path / ("a" * 300 + ".png")) == "File name too long"


@pytest.mark.parametrize("n", [FEW, FEW + 1])
def test_batches_come_in_order_from_threads_and_from_processes(tmp_path: Path, n: int) -> None:
    names = [f"{i}.png" for i in range(n)]
    write_images(tmp_path, *names, grey=True)
    (tmp_path / "5.png").write_bytes(b"hello")
    batches = [[tmp_path / name for name in names[at : at + 4]] for at in range(0, n, 4)]
    batches_read = list(decoded(batches, FORM, jobs=2))
    assert [len(answers) for answers in batches_read] == [len(batch) for batch in batches]
    for path, answer in zip(chain(*batches), chain(*batches_read), strict=True):
        assert same(answer, DECODER.decode(path))


def test_only_a_limited_number_of_files_is_read_ahead(tmp_path: Path) -> None:
    """Memory holds the batches that are decoded; there may be any number of them."""
    large = FORM.model_copy(update={"height": 1024, "width": 1024})
    write_images(tmp_path, "a.png", grey=True)
    requests = []

    def batches() -> Iterator[list[Path]]:
        for i in range(80):
            requests.append(i)
            yield [tmp_path / "a.png"]

    for row, _ in enumerate(decoded(batches(), large, jobs=2)):
        assert len(requests) <= max(FEW + 1, row + 1 + AHEAD_BYTES // 1024**2)
    assert requests == list(range(80))


# --- decoders that end ---------------------------------------------------------------------------

KILLER = """
import os, signal, sys
from PIL import Image
plain = Image.open
def open(path, *more, **options):
    if "KILLER" in str(path):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(path, *more, **options)
Image.open = open
"""


@pytest.fixture
def killers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kill every decoder that opens a file named KILLER, as the system does without memory."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(KILLER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setattr(isolation, "_idle", [])  # a process that was started before
    return tmp_path


@pytest.mark.robustness
def test_a_file_over_which_its_decoder_is_killed_is_named_and_all_others_are_read(
    killers: Path,
) -> None:
    names = ["KILLER.png" if i in (0, 37, 38, 99) else f"{i}.png" for i in range(100)]
    write_images(killers, *names, grey=True)
    paths = [killers / name for name in names]
    for path, answer in zip(paths, chain(*decoded([paths], FORM, jobs=2)), strict=True):
        expected = ENDED if path.name == "KILLER.png" else DECODER.decode(path)
        assert same(answer, expected)


@pytest.mark.robustness
@pytest.mark.parametrize("seconds", [0, 1], ids=["at work", "waiting"])
def test_decoders_that_somebody_kills_cost_no_file(tmp_path: Path, seconds: float) -> None:
    write_images(tmp_path, "a.png", grey=True)
    large = FORM.model_copy(update={"height": 512, "width": 512})
    images = decoded([[tmp_path / "a.png"] * 40] * 6, large, jobs=2)
    answers = next(images)
    time.sleep(seconds)  # what is decoded ahead is then decoded
    for process in decoders():
        with suppress(psutil.NoSuchProcess):  # the pool ends the others itself
            process.kill()
    answers += chain(*images)
    assert [type(answer) for answer in answers] == [Picture] * 240


@pytest.fixture
def executable() -> Iterator[None]:
    """Restore the interpreter that starts processes after a test that sets another program."""
    before = spawn.get_executable()
    yield
    spawn.set_executable(before)


@pytest.mark.usefixtures("executable")
@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false"])
def test_where_no_decoder_can_start_files_are_decoded_all_the_same(
    tmp_path: Path, program: str
) -> None:
    write_images(tmp_path, "a.png", grey=True)
    spawn.set_executable(program)
    (answers,) = decoded([[tmp_path / "a.png"] * 40], FORM, jobs=2)
    assert len(answers) == 40
    assert all(same(answer, DECODER.decode(tmp_path / "a.png")) for answer in answers)


@pytest.mark.robustness
def test_a_script_that_decodes_is_not_run_again_by_the_decoders(tmp_path: Path) -> None:
    """The calling script needs no `if __name__ == "__main__"`."""
    write_images(tmp_path, "a.png", grey=True)
    (tmp_path / "random.py").write_text("raise SystemExit('ours')")
    (tmp_path / "script.py").write_text(
        "import sys; sys.path.pop(0); from pathlib import Path\n"
        "from belong.data.decode_pool import decoded\n"
        "from tests.data.test_file_discovery import FORM\n"
        "print('runs', *map(len, decoded([[Path('a.png')] * 40], FORM, jobs=2)))\n"
    )
    process = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (process.returncode, process.stdout, process.stderr) == (0, "runs 40\n", "")


@pytest.mark.parametrize("files", [0, 40])
def test_nothing_runs_on_when_nobody_takes_any_more(tmp_path: Path, files: int) -> None:
    write_images(tmp_path, "a.png", grey=True)
    images = decoded([[tmp_path / "a.png"] * 40] * 1000, FORM, jobs=2)
    for _ in range(files // 40):
        next(images)
    assert decoders()
    images.close()
    assert not decoders()


@pytest.mark.robustness
def test_a_decoder_whose_parent_is_killed_ends_too(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png", grey=True)
    code = (
        "import sys, time; from pathlib import Path; from belong.data.decode_pool import decoded; "
        "from tests.data.test_file_discovery import FORM; "
        "images = decoded([[Path(sys.argv[1])] * 40] * 10_000, FORM, jobs=2); next(images); "
        "print('decoding', flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as parent:
        assert parent.stdout
        assert parent.stderr
        assert parent.stdout.readline() == b"decoding\n"
        processes = decoders(parent.pid)
        assert len(processes) == 2
        parent.kill()
        assert parent.stderr.read() == b""  # until the last decoder has closed it
    psutil.wait_procs(processes, timeout=20)
    assert not any(process.is_running() and process.status() != "zombie" for process in processes)


def decoders(parent: int | None = None) -> list[psutil.Process]:
    """Return the decoder processes that a process has started; by default this one."""
    children = psutil.Process(parent).children()
    alive = [one for one in children if one.status() != psutil.STATUS_ZOMBIE]
    return [one for one in alive if "multiprocessing.spawn" in " ".join(one.cmdline())]
