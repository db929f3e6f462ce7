"""`belong clean` on a folder: its output, its files, and its errors."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from belong.commands.clean.command import summary_text
from belong.commands.main import main
from belong.data.idx import read
from belong.data.image_folder import list_images
from tests.imports import ROOT
from tests.photo_folders import write_images

pytestmark = pytest.mark.pipeline

DIGITS = ROOT / "tests" / "data" / "mnist-small"
CLOTHES = ROOT / "tests" / "data" / "fashion-mnist-small"
QUICK = ("--folds", "2", "--set", "train.epochs=1")
ODD_NAME = 'a, "quoted"\r\nname.png'


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 images of each of three digits, with typical faults of a folder."""
    data, folder = read(DIGITS), tmp_path_factory.mktemp("photos")
    files = {}
    for label in (0, 1, 7):
        (folder / str(label)).mkdir()
        for row in np.flatnonzero(data.labels == label)[:80]:
            Image.fromarray(data.images[row, 0]).save(folder / str(label) / f"{row}.png")
        files[label] = sorted((folder / str(label)).iterdir())
    shutil.move(files[0][0], folder / "1" / "swapped.png")
    shutil.copy(files[0][1], folder / "0" / ODD_NAME)
    shutil.copy(files[0][2], folder / "0" / os.fsdecode(b"z\xff.png"))
    shutil.copy(files[7][0], folder / "1" / "both.png")
    (folder / "7" / "broken.jpg").write_text("no image")
    Image.new("L", (28, 28), 7).save(folder / "7" / "blank.png")
    write_images(folder, "few/0.png", side_px=28)
    return folder


@pytest.fixture(scope="module")
def before(digits: Path) -> dict[str, str]:
    return digests(digits)


@pytest.fixture(scope="module")
def out(digits: Path, before: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert len(before) == 246
    to = tmp_path_factory.mktemp("cleaned") / "out"
    settings = ["--link", "--set", "train.epochs=40", "--threads", "1"]
    assert main(["clean", str(digits), "-o", str(to), *settings]) == 0
    return to


@pytest.fixture(scope="module")
def manifest(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "manifest.csv", keep_default_na=False).set_index("path")


def test_nothing_in_the_folder_is_changed(digits: Path, before: dict[str, str], out: Path) -> None:
    assert out.is_dir()
    assert digests(digits) == before


def test_every_file_has_one_row_whatever_its_name(out: Path, digits: Path) -> None:
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    assert len(paths) == len(set(paths)) == len(list_images(digits).files)
    assert f"0/{ODD_NAME}" in paths
    assert r"0/z\xff.png" in paths


@pytest.mark.parametrize(
    ("path", "verdict", "problem"),
    [
        (f"0/{ODD_NAME}", "quarantine", "copy"),
        (r"0/z\xff.png", "quarantine", "copy"),
        ("1/both.png", "review", "two_classes"),
        ("7/broken.jpg", "quarantine", "unreadable"),
        ("7/blank.png", "quarantine", "blank"),
        ("few/0.png", "review", "too_few"),
        ("1/swapped.png", "quarantine", "wrong_class"),
    ],
    ids=["copy", "not-utf-8", "two-classes", "unreadable", "blank", "few", "swapped"],
)
def test_the_fault_of_an_image_is_named(
    manifest: pd.DataFrame, path: str, verdict: str, problem: str
) -> None:
    assert tuple(manifest.loc[path, ["verdict", "problem"]]) == (verdict, problem)
    assert manifest.loc[path, "reason"]


def test_a_swapped_image_is_predicted_as_what_it_shows(manifest: pd.DataFrame) -> None:
    assert str(manifest.loc["1/swapped.png", "predicted_class"]) == "0"


def test_most_images_are_kept(manifest: pd.DataFrame) -> None:
    judged_rows = manifest[manifest["p_foreign"] != ""]
    assert (judged_rows["verdict"] == "keep").mean() > 0.97


def test_the_tree_has_links_to_the_kept_images_alone(
    out: Path, manifest: pd.DataFrame, digits: Path
) -> None:
    links = [path for path in sorted((out / "cleaned").rglob("*")) if not path.is_dir()]
    assert len(links) == (manifest["verdict"] == "keep").sum()
    assert all(path.is_symlink() for path in links)
    tree, source = out / "cleaned", digits.resolve()
    assert all(path.resolve() == source / path.relative_to(tree) for path in links)


def test_the_terminal_calls_a_wrong_class_mislabeled(out: Path) -> None:
    text = summary_text(json.loads((out / "summary.json").read_text("utf-8")), "out")
    assert re.search(r"^  quarantine \d+: \d+ mislabeled, ", text, re.MULTILINE)
    assert "wrong_class" not in text


def test_the_summary_counts_what_the_manifest_says(out: Path, manifest: pd.DataFrame) -> None:
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    counts = manifest["verdict"].value_counts().to_dict()
    assert {key: n for key, n in summary["verdicts"].items() if n} == counts
    assert summary["images"] == len(manifest)
    assert summary["problems"]["quarantine"]["copy"] == 2


def test_the_page_shows_each_suspect_with_its_picture(out: Path, manifest: pd.DataFrame) -> None:
    page = (out / "suspects.html").read_text(encoding="utf-8")
    assert "1/swapped.png" in page
    can_be_read = ~manifest["problem"].isin(["", "unreadable"])
    assert page.count("data:image/png") == can_be_read.sum()


BLIND = 5  # noise cannot be judged


def write_two(folder: Path) -> Path:
    names = [f"{name}/{place}.png" for name in ("ant", "bee") for place in range(8)]
    return write_images(folder, *names, side_px=28, grey=True)


def test_the_same_folder_gives_the_same_bytes_and_a_tree_of_copies_is_no_link(
    tmp_path: Path,
) -> None:
    folder = write_two(tmp_path / "photos")
    for name in ("one", "two"):
        assert main(["clean", str(folder), "-o", str(tmp_path / name), "--copy", *QUICK]) == BLIND
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert not any(path.is_symlink() for path in (tmp_path / "one").rglob("*"))


def test_of_images_that_cannot_be_told_apart_no_label_is_doubted_and_the_line_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_two(tmp_path / "photos")
    assert main(["clean", str(folder), "-o", str(tmp_path / "out"), *QUICK]) == BLIND
    assert "labels are not judged: expected an accuracy of at least" in capsys.readouterr().err
    reliability = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["reliability"]
    assert reliability["labels_refused"][1:] in (tmp_path / "out" / "suspects.html").read_text(
        "utf-8"
    )
    assert pd.read_csv(tmp_path / "out" / "manifest.csv")["p_wrong_class"].isna().all()


def test_images_to_review_are_in_the_tree_if_asked(tmp_path: Path) -> None:
    folder = write_two(tmp_path / "photos")
    write_images(folder, "lone/0.png", side_px=28, grey=True)
    words = ["clean", str(folder), "-o", str(tmp_path / "out"), "--link", *QUICK]
    assert main(words) == BLIND
    assert not (tmp_path / "out" / "cleaned" / "lone").exists()
    assert main([*words, "--with-review", "--overwrite"]) == BLIND
    assert (tmp_path / "out" / "cleaned" / "lone" / "0.png").exists()


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    code = main(["clean", *map(str, words), *QUICK])
    return code, capsys.readouterr().err.strip().splitlines()[-1]


def test_results_are_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_two(tmp_path / "photos"), tmp_path / "out"
    assert main(["clean", str(folder), "-o", str(out), *QUICK]) == BLIND
    code, message = refused(capsys, folder, "-o", out)
    assert code == 2
    assert message.endswith("has the manifest.csv of another run; expected another folder, or "
                         "--overwrite")  # fmt: skip


def test_an_output_among_the_images_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_two(tmp_path / "photos")
    code, message = refused(capsys, folder, "-o", folder / "out")
    assert (code, "which is never changed" in message) == (2, True)
    assert not (folder / "out").exists()


def test_a_folder_of_one_class_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_images(tmp_path / "photos", "ant/0.png", "ant/1.png")
    code, message = refused(capsys, folder, "-o", tmp_path / "out")
    assert (code, "expected at least 2 class folders, got one, ant" in message) == (2, True)


def test_a_wrong_folder_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", "ant/0.png", "ant/1.png")
    (tmp_path / "photos.zip").write_bytes(b"PK")
    program = (
        "import sys; from belong.commands.main import main\n"
        "for name in ('photos', 'photos.zip'):\n"
        "    assert main(['clean', name, '-o', 'out']) == 2\n"
        "assert 'torch' not in sys.modules"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert len(process.stderr.splitlines()) == 2


def test_a_single_image_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_images(tmp_path / "photos", "ant/0.png")
    code, message = refused(capsys, folder, "-o", tmp_path / "out")
    assert (code, "expected at least 2 class folders, got one, ant" in message) == (2, True)


def test_classes_with_too_few_images_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_images(tmp_path / "photos", "ant/0.png", "ant/1.png", "bee/0.png", side_px=28)
    code, message = refused(capsys, folder, "-o", tmp_path / "out")
    assert code == 2
    assert "expected at least 2 classes of 4 images, duplicates counted once" in message
    assert message.endswith("got at most 2 images (class ant)")


def test_an_empty_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    code, message = refused(capsys, tmp_path / "photos", "-o", tmp_path / "out")
    assert (code, "expected one folder of images per class" in message) == (2, True)


def test_one_fold_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_two(tmp_path / "photos")
    assert main(["clean", str(folder), "-o", str(tmp_path / "out"), "--folds", "1"]) == 2
    assert "--folds: expected at least 2, got 1" in capsys.readouterr().err


def test_idx_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = refused(capsys, DIGITS, "-o", tmp_path / "out")
    assert (code, "got IDX files" in message) == (2, True)


def test_where_no_image_can_be_read_the_manifest_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "0.png").write_bytes(b"")
    code, message = refused(capsys, tmp_path / "photos", "-o", tmp_path / "out")
    assert code == 3
    assert "0 of 2 images can be read; the first: ant/0.png (empty: 0 bytes)" in message
    rows = pd.read_csv(tmp_path / "out" / "manifest.csv")
    assert rows["problem"].to_list() == ["unreadable"] * 2


def test_a_path_that_is_a_formula_to_a_spreadsheet_is_none_in_the_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("=ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "0.png").write_bytes(b"")
    refused(capsys, tmp_path / "photos", "-o", tmp_path / "out")
    rows = pd.read_csv(tmp_path / "out" / "manifest.csv")
    assert rows["path"].to_list() == ["./=ant/0.png", "bee/0.png"]
