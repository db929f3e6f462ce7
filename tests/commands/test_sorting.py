"""Images are sorted by their verdicts, also after an interruption, and can be moved back."""

import errno
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from belong.commands.main import main
from belong.commands.sorting import as_folder, finish_sorting, sort_files, unsort, write_lists
from belong.data.file_discovery import Incoming, below, listed
from belong.runtime.errors import InputError
from belong.runtime.file_placement import Placement, place_whole
from belong.runtime.text import exact, from_exact
from tests.robustness.disk import KilledError, killed_at
from tests.untrained_bundle import save_untrained

ODD_NAMES = ("caf\udce9.png", "two\nlines.png", "=1+1.png", "%41.png", "n" * 251 + ".png", " .png")


def write(folder: Path, names: dict[str, bytes]) -> Incoming:
    for name, content in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return Incoming(str(folder), sorted(names), [], [])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture
def photos(tmp_path: Path) -> Incoming:
    names = ["a/1.png", "b/1.png", "b/c/1.png", "1.png", "2.png", "3.png", "4.png"]
    return write(tmp_path / "in", {name: name.encode() for name in names})


GROUPS = {
    "a/1.png": "belongs/cat", "b/1.png": "belongs/cat", "b/c/1.png": "belongs/cat",
    "1.png": "belongs/cat", "2.png": "belongs/dog", "3.png": "rejected", "4.png": "unreadable",
}  # fmt: skip
TREE = {
    "belongs/cat/1 (a).png": b"a/1.png",
    "belongs/cat/1 (b).png": b"b/1.png",
    "belongs/cat/1 (b-c).png": b"b/c/1.png",
    "belongs/cat/1.png": b"1.png",
    "belongs/dog/2.png": b"2.png",
    "rejected/3.png": b"3.png",
    "unreadable/4.png": b"4.png",
}


@pytest.mark.parametrize("how", ["link", "copy", "move"])
def test_images_lie_in_folders_of_their_verdicts_and_come_back(
    tmp_path: Path, photos: Incoming, how: Placement
) -> None:
    before = contents(tmp_path / "in")
    times = {name: (tmp_path / "in" / name).stat().st_mtime_ns for name in before}
    counts = sort_files(photos, GROUPS, tmp_path / "out", how=how)
    assert counts == {"belongs": 5, "rejected": 1, "unreadable": 1}
    assert contents(tmp_path / "out" / "sorted") == TREE
    assert contents(tmp_path / "in") == ({} if how == "move" else before)
    assert (tmp_path / "out/sorted/rejected/3.png").is_symlink() == (how == "link")
    assert unsort(tmp_path / "out") == 7
    assert contents(tmp_path / "in") == before
    assert {name: (tmp_path / "in" / name).stat().st_mtime_ns for name in before} == times
    assert list((tmp_path / "out").iterdir()) == []


def status_in_fork(work: Callable[[], object]) -> int:
    """Run a function in a forked process; return its exit status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.robustness
@pytest.mark.parametrize("how", ["link", "copy", "move"])
@pytest.mark.parametrize("step", range(8))
def test_after_a_kill_the_same_call_goes_on_and_all_can_be_taken_back(
    tmp_path: Path, photos: Incoming, monkeypatch: pytest.MonkeyPatch, how: Placement, step: int
) -> None:
    steps_left, before, out = [step], contents(tmp_path / "in"), tmp_path / "out"
    real = place_whole

    def deadly(*arguments: object) -> None:
        if steps_left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        steps_left[0] -= 1
        real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("belong.commands.sorting.place_whole", deadly)
        status = status_in_fork(lambda: sort_files(photos, GROUPS, out, how=how))
    assert os.WIFSIGNALED(status) == (step < len(TREE))
    sorted_files = contents(out / "sorted")
    assert len(sorted_files) == min(step, len(TREE))
    assert sorted_files.items() <= TREE.items()
    shutil.copytree(tmp_path, tmp_path.with_name("twin"), symlinks=True)
    if step < len(TREE):
        counts = finish_sorting(out, tmp_path / "in", how)
        assert counts == {"belongs": 5, "rejected": 1, "unreadable": 1}
        assert contents(out / "sorted") == TREE
    assert finish_sorting(out, tmp_path / "in", how) is None
    unsort(out)
    assert contents(tmp_path / "in") == before
    assert list(out.iterdir()) == []
    shutil.rmtree(tmp_path.with_name("twin"))


@pytest.mark.robustness
@pytest.mark.parametrize("how", ["link", "copy", "move"])
def test_a_kill_at_any_change_of_the_disk_loses_no_image(tmp_path: Path, how: Placement) -> None:
    change, is_over = 0, False
    groups = {"a/1.png": "belongs/cat", "1.png": "rejected"}
    while not is_over:
        place = tmp_path / str(change)
        photos = write(place / "in", {name: name.encode() for name in groups})
        with suppress(KilledError), killed_at(change):
            sort_files(photos, groups, place / "out", how=how)
            is_over = True
        surviving = {*contents(place / "in").values(), *contents(place / "out").values()}
        assert {name.encode() for name in groups} <= surviving
        if finish_sorting(place / "out", place / "in", how) is None and not is_over:
            sort_files(photos, groups, place / "out", how=how)
        unsort(place / "out")
        assert contents(place / "in") == {name: name.encode() for name in groups}
        assert list((place / "out").iterdir()) == []
        change += 1
    assert change > 10


def test_a_kill_is_taken_back_without_going_on(
    tmp_path: Path, photos: Incoming, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = contents(tmp_path / "in"), place_whole

    def interrupted(source: Path, target: Path, how: Placement) -> None:
        if target.name == "2.png":
            raise KeyboardInterrupt
        real(source, target, how)

    with monkeypatch.context() as patch:
        patch.setattr("belong.commands.sorting.place_whole", interrupted)
        with pytest.raises(KeyboardInterrupt, match="1 of 7 files are done; run the same command"):
            sort_files(photos, GROUPS, tmp_path / "out", how="move")
    with pytest.raises(InputError, match="another sorting is unfinished"):
        finish_sorting(tmp_path / "out", tmp_path / "in", "copy")
    unsort(tmp_path / "out")
    assert contents(tmp_path / "in") == before


@pytest.fixture
def two_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a move between folders fail as it does between file systems."""
    real = Path.rename

    def rename(source: Path, target: Path) -> Path:
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
        return real(source, target)

    monkeypatch.setattr(Path, "rename", rename)


@pytest.mark.usefixtures("two_disks")
def test_moves_to_another_file_system_and_back(tmp_path: Path, photos: Incoming) -> None:
    before = contents(tmp_path / "in")
    sort_files(photos, GROUPS, tmp_path / "out", how="move")
    assert contents(tmp_path / "out" / "sorted") == TREE
    assert contents(tmp_path / "in") == {}
    unsort(tmp_path / "out")
    assert contents(tmp_path / "in") == before


@pytest.mark.usefixtures("two_disks")
def test_a_full_disk_loses_nothing_and_the_same_call_goes_on(
    tmp_path: Path, photos: Incoming, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = contents(tmp_path / "in"), shutil.copy2

    def full(source: Path, target: Path) -> None:
        real(source, target)
        if source.name == "3.png":
            target.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", full)
        with pytest.raises(InputError, match=r"3\.png: No space left on device; 2 of 7 files are"):
            sort_files(photos, GROUPS, tmp_path / "out", how="move")
    assert (
        contents(tmp_path / "in")
        | {name.decode(): name for name in contents(tmp_path / "out" / "sorted").values()}
        == before
    )
    assert not list((tmp_path / "out").rglob("*.part"))
    finish_sorting(tmp_path / "out", tmp_path / "in", "move")
    assert contents(tmp_path / "out" / "sorted") == TREE


def test_a_kill_between_the_copy_and_the_removal_leaves_one_file(
    tmp_path: Path, photos: Incoming, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(source: Path, target: Path, how: Placement) -> None:
        del how
        target.parent.mkdir(parents=True)
        shutil.copy2(source, target)  # and `source` is still there
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("belong.commands.sorting.place_whole", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sort_files(photos, GROUPS, tmp_path / "out", how="move")
    finish_sorting(tmp_path / "out", tmp_path / "in", "move")
    assert contents(tmp_path / "out" / "sorted") == TREE
    assert contents(tmp_path / "in") == {}


def test_a_folder_that_may_not_be_written_is_refused_before_anything_moves(
    tmp_path: Path, photos: Incoming, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = tmp_path / "in" / "b"
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != shut)
    with pytest.raises(InputError, match="in/b: may not be written: its images cannot be moved"):
        sort_files(photos, GROUPS, tmp_path / "out", how="move")
    assert len(contents(tmp_path / "in")) == 7
    assert contents(tmp_path / "out") == {}


def test_nothing_is_written_over(tmp_path: Path, photos: Incoming) -> None:
    other = tmp_path / "out" / "sorted" / "rejected" / "3.PNG"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"other")
    sort_files(photos, GROUPS, tmp_path / "out", how="move")
    assert other.read_bytes() == b"other"
    assert (other.parent / "3 (2).png").read_bytes() == b"3.png"


def test_a_new_file_at_the_old_path_is_not_overwritten(tmp_path: Path, photos: Incoming) -> None:
    sort_files(photos, GROUPS, tmp_path / "out", how="move")
    (tmp_path / "in" / "3.png").write_bytes(b"new")
    with pytest.raises(InputError, match="still lists 1 file like this"):
        unsort(tmp_path / "out")
    assert (tmp_path / "in" / "3.png").read_bytes() == b"new"
    assert (tmp_path / "out/sorted/rejected/3.png").read_bytes() == b"3.png"
    (tmp_path / "in" / "3.png").unlink()
    assert unsort(tmp_path / "out") == 1
    assert len(contents(tmp_path / "in")) == 7


def test_links_follow_new_verdicts_and_a_changed_copy_is_kept(
    tmp_path: Path, photos: Incoming
) -> None:
    out = tmp_path / "out"
    sort_files(photos, GROUPS, out, how="link")
    sort_files(photos, GROUPS | {"3.png": "belongs/dog"}, out, how="copy")
    assert sorted(contents(out / "sorted" / "belongs" / "dog")) == ["2.png", "3.png"]
    assert contents(out / "sorted" / "rejected") == {}
    (out / "sorted/belongs/dog/3.png").write_bytes(b"cropped")
    sort_files(photos, GROUPS, out, how="link")
    assert contents(out / "sorted" / "belongs" / "dog") == {"2.png": b"2.png", "3.png": b"cropped"}


def test_an_inbox_is_emptied_again_and_again(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        photos = write(tmp_path / "in", {"new.png": content})
        sort_files(photos, {"new.png": "rejected"}, tmp_path / "out", how="move")
    assert contents(tmp_path / "out" / "sorted") == {
        "rejected/new.png": b"first", "rejected/new (2).png": b"second",
    }  # fmt: skip


@pytest.mark.parametrize("how", ["link", "copy", "move"])
def test_odd_names_are_placed_and_come_back(tmp_path: Path, how: Placement) -> None:
    photos = write(tmp_path / "in", {name: os.fsencode(name) for name in ODD_NAMES})
    sort_files(photos, dict.fromkeys(photos.files, "rejected"), tmp_path / "out", how=how)
    sorted_files = contents(tmp_path / "out" / "sorted")
    assert sorted(sorted_files.values()) == sorted(map(os.fsencode, ODD_NAMES))
    assert {f"rejected/{name}" for name in ODD_NAMES if len(name) < 99} <= sorted_files.keys()
    unsort(tmp_path / "out")
    assert contents(tmp_path / "in") == {name: os.fsencode(name) for name in ODD_NAMES}


@pytest.mark.parametrize("name", [*ODD_NAMES, "%", "%zz", "\u2028", "\u202e", "été", "100% .jpg"])
def test_a_name_is_text_in_one_line_and_the_same_name_again(name: str) -> None:
    text = exact(name)
    assert from_exact(text) == name
    assert len(text.splitlines()) == 1
    assert text.isprintable()


def test_names_of_classes_are_one_folder_that_is_not_hidden() -> None:
    names = ["..", ".", "a/b", "\\", ".git", "", "two\nlines", "k" * 300, "house cat", "été"]
    folders = [as_folder(name) for name in names]
    assert folders[-2:] == ["house cat", "été"]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder
        assert not folder.startswith(".")
        assert "/" not in folder
        assert len(os.fsencode(folder)) <= 255


def test_a_link_is_moved_and_its_own_text_comes_back(tmp_path: Path) -> None:
    photos = write(tmp_path / "in", {"far/1.png": b"1"})
    (tmp_path / "in" / "link.png").symlink_to("far/1.png")
    photos = Incoming(photos.top, ["link.png"], [], [])
    sort_files(photos, {"link.png": "rejected"}, tmp_path / "out", how="move")
    assert (tmp_path / "out/sorted/rejected/link.png").read_bytes() == b"1"
    assert contents(tmp_path / "in") == {"far/1.png": b"1"}
    unsort(tmp_path / "out")
    assert (tmp_path / "in" / "link.png").readlink() == Path("far/1.png")


def test_what_a_link_shows_of_another_folder_is_linked_not_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "theirs", {"1.png": b"1"})
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "other").symlink_to(tmp_path / "theirs")
    photos = below(tmp_path / "in", follow_links=True)
    sort_files(photos, {"other/1.png": "rejected"}, tmp_path / "out", how="move")
    assert contents(tmp_path / "theirs") == {"1.png": b"1"}
    assert (tmp_path / "out/sorted/rejected/1.png").is_symlink()
    assert "1 image lies outside of it: linked, not moved" in capsys.readouterr().err


def test_a_path_that_is_named_twice_is_moved_once(tmp_path: Path) -> None:
    write(tmp_path / "in", {"a/1.png": b"1"})
    lines = [os.fsencode(tmp_path / "in" / name) for name in ("a/1.png", "a/../a/1.png", "no.png")]
    photos = listed(lines)
    groups = dict.fromkeys(photos.files, "rejected")
    assert sort_files(photos, groups, tmp_path / "out", how="move")["rejected"] == 1


def test_a_list_that_somebody_has_changed_is_refused(tmp_path: Path, photos: Incoming) -> None:
    sort_files(photos, GROUPS, tmp_path / "out", how="move")
    path = tmp_path / "out" / "sorted.csv"
    for row in ("/etc/passwd,../../x,move,", "/a,b,copy,", "/a,rejected/x,burn,", "a,b"):
        path.write_text(f"source,target,how,link\n{row}\n", encoding="utf-8")
        with pytest.raises(InputError, match="row 2: not a row of a list of sorted"):
            unsort(tmp_path / "out")


def test_the_lists_have_the_exact_names(tmp_path: Path) -> None:
    photos = write(tmp_path / "in", dict.fromkeys(ODD_NAMES, b""))
    groups = dict.fromkeys(photos.files, "belongs/cat") | {"=1+1.png": "rejected"}
    with pytest.raises(InputError, match=r"two\\nlines.png: has a line break in its name"):
        write_lists(photos, groups, tmp_path, ends_in_null=False)
    write_lists(photos, groups, tmp_path, ends_in_null=True)
    assert (tmp_path / "rejected.txt").read_bytes() == b"=1+1.png\0"
    assert (tmp_path / "unreadable.txt").read_bytes() == b""
    names = (tmp_path / "belongs.txt").read_bytes().split(b"\0")[:-1]
    assert sorted(names) == sorted(os.fsencode(name) for name in ODD_NAMES if name[0] != "=")


def test_score_sorts_and_lists_and_unsort_takes_it_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_untrained(tmp_path / "model")
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        Image.linear_gradient("L").resize((28, 28)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "broken.png").touch()
    words = ["--model", str(tmp_path / "model"), "-o", str(tmp_path / "out"), "--no-gallery"]
    before = contents(tmp_path / "in")
    sort = ["--sort", "move", "--write-list"]
    assert main(["score", str(tmp_path / "in"), *words, *sort]) == 0
    sorted_files = contents(tmp_path / "out" / "sorted")
    assert "unreadable/broken.png" in sorted_files
    assert {Path(name).name for name in sorted_files} == {"1 (a).png", "1 (b).png", "broken.png"}
    assert (tmp_path / "out" / "unreadable.txt").read_text() == "broken.png\n"
    assert f"`belong unsort {tmp_path / 'out'}` undoes it" in capsys.readouterr().out
    assert main(["unsort", str(tmp_path / "out")]) == 0
    assert contents(tmp_path / "in") == before
    assert main(["unsort", str(tmp_path / "out")]) == 2
    assert "has no sorted.csv" in capsys.readouterr().err
