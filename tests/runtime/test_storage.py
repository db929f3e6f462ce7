"""Files appear whole or not at all, and the same values give the same bytes."""

import json
import math
import re
import resource
import signal
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from belong.runtime.errors import InputError, MissingFileError
from belong.runtime.storage import (
    load_about,
    load_arrays,
    load_csv,
    remove_folder,
    save_arrays,
    save_csv,
    save_json,
    save_text,
    whole_file,
    whole_folder,
)

ARRAYS = {
    "means": np.arange(6, dtype=np.float32).reshape(2, 3),
    "labels": np.array([3, 1, 2]),
    "images": np.arange(24, dtype=np.uint8).reshape(2, 1, 3, 4),
    "belongs": np.array([True, False]),
    "none": np.zeros((0, 5), np.float32),
}


def names_in(folder: Path) -> list[str]:
    """Return everything below a folder, hidden names too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_is_not_there_under_its_name_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with whole_file(path) as part:
        part.write_text("half")
        assert not path.exists()
        part.write_text("whole")
    assert path.read_text() == "whole"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_file_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(interruption), whole_file(path) as part:  # noqa: PT012
        part.write_text("half")
        raise interruption
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


def test_the_folders_above_a_file_are_made(tmp_path: Path) -> None:
    save_text(tmp_path / "a" / "b" / "file", "text")
    assert names_in(tmp_path) == ["a", "a/b", "a/b/file"]


def test_a_folder_takes_the_place_of_the_old_one_with_all_that_was_in_it(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (path / "below").mkdir(parents=True)
    for name in ("stale", "kept", "below/stale"):
        (path / name).write_text("old")
    with whole_folder(path) as part:
        (part / "kept").write_text("new")
        assert names_in(path) == ["below", "below/stale", "kept", "stale"]
    assert names_in(tmp_path) == ["folder", "folder/kept"]
    assert (path / "kept").read_text() == "new"


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_folder_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "file").write_text("old")
    with pytest.raises(interruption), whole_folder(path) as part:  # noqa: PT012
        (part / "file").write_text("half")
        raise interruption
    assert (path / "file").read_text() == "old"
    assert names_in(tmp_path) == ["folder", "folder/file"]


def test_an_interrupted_first_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "folder") as part:  # noqa: PT012
        (part / "file").write_text("half")
        raise RuntimeError
    assert names_in(tmp_path) == []


def test_a_new_folder_that_cannot_be_renamed_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "file").write_text("old")
    with pytest.raises(FileNotFoundError), whole_folder(path) as part:
        part.rmdir()  # someone cleaned up
    assert names_in(tmp_path) == ["folder", "folder/file"]


def test_text_is_written_as_utf_8_with_plain_newlines(tmp_path: Path) -> None:
    save_text(tmp_path / "file", "λ = 1\n")
    assert (tmp_path / "file").read_bytes() == b"\xce\xbb = 1\n"


def test_json_is_read_back_as_it_was(tmp_path: Path) -> None:
    value = {"auroc": 0.9871, "n": 3, "classes": ["ant", "bee"], "none": None}
    save_json(tmp_path / "file", value)
    text = (tmp_path / "file").read_text()
    assert json.loads(text) == value
    assert text.endswith("}\n")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_with_a_number_that_json_has_not_is_refused_and_the_old_file_stays(
    tmp_path: Path, number: float
) -> None:
    path = tmp_path / "file"
    save_json(path, {"auroc": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_json(path, {"auroc": {"deep": [number]}})
    assert json.loads(path.read_text()) == {"auroc": 0.5}
    assert names_in(tmp_path) == ["file"]


def test_a_table_is_written_without_its_index_and_with_six_digits(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["ant", "bee"], "score": [1 / 3, 12345678.9], "n": [1, 1234567]})
    save_csv(tmp_path / "file", table.set_index(pd.Index([7, 8])))
    expected = b"name,score,n\nant,0.333333,1\nbee,1.23457e+07,1234567\n"
    assert (tmp_path / "file").read_bytes() == expected


def test_arrays_are_read_back_with_their_values_types_and_shapes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_arrays(path, ARRAYS)
    for read in (load_arrays(path), load_file(path)):  # ours, and safetensors' own
        assert read.keys() == ARRAYS.keys()
        for name, values in ARRAYS.items():
            assert read[name].dtype == values.dtype
            assert read[name].shape == values.shape
            assert read[name].tolist() == values.tolist()


def test_an_array_without_axes_keeps_its_shape(tmp_path: Path) -> None:
    save_arrays(tmp_path / "file", {"scalar": np.array(0.5)})
    assert load_arrays(tmp_path / "file")["scalar"].shape == ()


@pytest.mark.parametrize(
    "view",
    [
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12.0)[::-2],
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.broadcast_to(np.arange(3.0), (2, 3)),
    ],
    ids=["transposed", "backwards", "fortran", "broadcast"],
)
def test_an_array_that_does_not_lie_in_one_piece_keeps_its_values(
    tmp_path: Path, view: np.ndarray
) -> None:
    save_arrays(tmp_path / "file", {"view": view})
    assert load_arrays(tmp_path / "file")["view"].tolist() == view.tolist()


@pytest.mark.pipeline
def test_the_bytes_do_not_depend_on_the_order_in_which_arrays_and_keys_came(
    tmp_path: Path,
) -> None:
    about = {"classes": ["b", "a"], "alpha": 0.025, "shape": {"width": 28, "height": 27}}
    contents = set()
    for names in permutations(ARRAYS):
        for keys in (list(about), list(about)[::-1]):
            save_arrays(
                tmp_path / "file",
                {name: ARRAYS[name] for name in names},
                {key: about[key] for key in keys},
            )
            contents.add((tmp_path / "file").read_bytes())
    assert len(contents) == 1


def test_the_description_of_arrays_is_read_back(tmp_path: Path) -> None:
    about = {"class_names": ["ant", "bee"], "alpha": 0.025, "thresholds": {"a": {"b": None}}}
    save_arrays(tmp_path / "file", ARRAYS, about)
    assert load_about(tmp_path / "file") == about


def test_arrays_without_a_description_have_an_empty_one(tmp_path: Path) -> None:
    save_arrays(tmp_path / "file", ARRAYS)
    assert load_about(tmp_path / "file") == {}


def test_only_the_named_arrays_are_read_and_in_the_order_asked_for(tmp_path: Path) -> None:
    save_arrays(tmp_path / "file", ARRAYS)
    assert list(load_arrays(tmp_path / "file", "means", "belongs")) == ["means", "belongs"]


def test_arrays_that_the_disk_does_not_hold_name_the_file_and_the_old_one_stays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.safetensors"
    save_arrays(path, {"x": np.zeros(1)})
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            save_arrays(path, {"x": np.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (error.value.filename, error.value.strerror) == (str(path), "File too large")
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == before


KILLED_WHILE_WRITING = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from belong.runtime.storage import save_arrays

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
save_arrays(Path(sys.argv[1]), {"values": np.zeros(2**20)})
"""


def test_the_next_write_removes_the_temporary_arrays_of_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "arrays.safetensors"
    child = [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)]
    assert subprocess.run(child, check=False).returncode == -signal.SIGXFSZ
    assert names_in(tmp_path)
    save_arrays(path, ARRAYS)
    assert names_in(tmp_path) == ["arrays.safetensors"]


def test_an_array_that_is_not_in_the_file_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_arrays(path, {"b": np.zeros(1), "a": np.zeros(1)})
    message = re.escape(f"{path}: expected an array 'c', got a, b")
    with pytest.raises(InputError, match=f"^{message}$"):
        load_arrays(path, "a", "c")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "nothing"
    for load in (load_arrays, load_about, load_csv):
        with pytest.raises(MissingFileError, match=f"^{path}: no such file$"):
            load(path)


def whole_bytes(folder: Path) -> bytes:
    save_arrays(folder / "whole", ARRAYS, {"class_names": ["ant"]})
    return (folder / "whole").read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"<!DOCTYPE html><title>Sorry</title>",
        b"\x80\x04\x95" + bytes(40),  # a pickle
        (2**60).to_bytes(8, "little") + b"{}",
        (5).to_bytes(8, "little") + b"{bad}",
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for load in (load_arrays, load_about):
        with pytest.raises(InputError, match=f"^{path}: cannot be read as safetensors: "):
            load(path)


def test_a_file_cut_anywhere_is_refused_by_name(tmp_path: Path) -> None:
    whole, path = whole_bytes(tmp_path), tmp_path / "file"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"^{path}: cannot be read as safetensors: "):
            load_arrays(path)


CUT_WHILE_READ = """
import os, sys
from pathlib import Path
from belong.runtime import storage

original = storage._tensor


def cut_first(file, name, path):
    os.truncate(path, 1000)
    return original(file, name, path)


storage._tensor = cut_first
try:
    storage.load_arrays(Path(sys.argv[1]))
except storage.InputError as error:
    print(error)
"""


def test_a_file_that_is_cut_while_it_is_read_is_refused_by_name(tmp_path: Path) -> None:
    """A mapped file would end the process with SIGBUS."""
    path = tmp_path / "arrays.safetensors"
    save_arrays(path, {"values": np.zeros(2**20)})
    child = [sys.executable, "-c", CUT_WHILE_READ, str(path)]
    result = subprocess.run(child, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{path}: cannot be read as safetensors: ")


def test_a_folder_in_the_place_of_the_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}: cannot be read as safetensors: "):
        load_arrays(tmp_path)


@pytest.mark.robustness
def test_a_folder_deeper_than_python_calls_functions_is_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        with whole_folder(tmp_path / "out") as part:
            inside = part
            for _ in range(1100):
                inside /= "d"
                inside.mkdir()
            (inside / "file").write_text("x")
            (inside / "link").symlink_to(tmp_path)
    remove_folder(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
