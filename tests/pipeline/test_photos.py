"""Folders of photos through the real stages: packed, and divided into parts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from belong.data.idx import read
from belong.runtime.storage import load_about, load_arrays
from tests.imports import ROOT
from tests.photo_folders import write_images

PARAMS = (ROOT / "tests" / "data" / "params.yaml").read_text(encoding="utf-8")
NORMAL, ANOMALY = "tests/data/mnist-small", "tests/data/fashion-mnist-small"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of 250 photos, and five odd photos without classes."""
    names = [f"ours/{name}/{i}.png" for name in ("ant", "bee") for i in range(250)]
    return write_images(tmp_path, *names, *(f"odd/{i}.png" for i in range(5)), side_px=40)


def run(stage: str, folder: Path, *files: str) -> "subprocess.CompletedProcess[str]":
    paths = [str(folder / file) for file in ("params.yaml", *files)]
    return subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", *paths],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def packed(
    folder: Path, normal: Path | str, anomaly: Path | str, params: str = PARAMS
) -> "subprocess.CompletedProcess[str]":
    text = params.replace(f"path: {NORMAL}", f"path: {normal}")
    text = text.replace(f"path: {ANOMALY}", f"path: {anomaly}")  # and the unseen ones
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return run("pack", folder, "rows.csv", "unreadable.csv", "ignored.csv", "pack")


def divided(folder: Path) -> "subprocess.CompletedProcess[str]":
    return run("split", folder, "rows.csv", "pack", "manifest.csv", "images")


def succeeded(process: "subprocess.CompletedProcess[str]") -> bool:
    assert (process.returncode, process.stderr) == (0, "")
    return True


def test_photos_are_packed_and_divided_by_class(photos: Path) -> None:
    assert succeeded(packed(photos, photos / "ours", photos / "odd"))
    assert succeeded(divided(photos))
    manifest = pd.read_csv(photos / "manifest.csv")
    # Of each class of 250: a fifth for the test, and a fifth of the rest to calibrate.
    assert manifest.value_counts(["part", "class_name"]).to_dict() == {
        ("normal/test", "ant"): 50,
        ("normal/test", "bee"): 50,
        ("normal/calibration", "ant"): 40,
        ("normal/calibration", "bee"): 40,
        ("normal/train", "ant"): 160,
        ("normal/train", "bee"): 160,
        ("anomaly/head", "odd"): 4,
        ("anomaly/test", "odd"): 1,
    }
    arrays = load_arrays(photos / "images")
    assert arrays["normal/train/images"].shape == (320, 3, 32, 32)
    assert load_about(photos / "images")["class_names"] == ["ant", "bee"]


def test_every_part_holds_the_photos_that_the_manifest_names(photos: Path) -> None:
    same_size = PARAMS.replace("side_px: 32", "side_px: 40")
    assert succeeded(packed(photos, photos / "ours", photos / "odd", same_size))
    assert succeeded(divided(photos))
    manifest, arrays = pd.read_csv(photos / "manifest.csv"), load_arrays(photos / "images")
    for part, rows in manifest.groupby("part"):
        for image, row in zip(arrays[f"{part}/images"], rows.itertuples(), strict=True):
            file = photos / ("odd" if row.is_anomaly else "ours") / str(row.source)
            np.testing.assert_array_equal(image, np.asarray(Image.open(file)).transpose(2, 0, 1))


def test_the_same_photo_is_kept_in_one_part_only_whatever_its_name_and_class(photos: Path) -> None:
    """A photo of each class lies among the odd ones, one as BMP; another one in both classes."""
    Image.open(photos / "ours" / "ant" / "3.png").save(photos / "odd" / "a.bmp")
    shutil.copy(photos / "ours" / "bee" / "3.png", photos / "odd" / "b.png")
    shutil.copy(photos / "ours" / "bee" / "4.png", photos / "ours" / "ant" / "x.png")
    assert succeeded(packed(photos, photos / "ours", photos / "odd"))
    process = divided(photos)
    manifest_file = photos / "manifest.csv"
    expected = (
        "split: 508 images; 2 excluded, as they occur in two classes; 2 excluded as duplicates; "
        f"{manifest_file} lists them\n"
    )
    assert (process.returncode, process.stderr) == (0, expected)
    manifest = pd.read_csv(manifest_file).set_index("source")
    assert manifest.loc[["a.bmp", "b.png"], "part"].tolist() == ["dropped", "dropped"]
    both = manifest.loc[["ant/x.png", "bee/4.png"], "reason"]
    assert set(both) == {"the same image is in ant and bee"}
    parts = manifest[manifest["part"] != "dropped"]
    assert parts.groupby("sha256")["part"].nunique().max() == 1


def test_an_idx_image_that_is_a_normal_photo_trains_no_head_even_if_it_is_enlarged(
    tmp_path: Path,
) -> None:
    """The digits of an IDX folder, as PNG files, are normal; the folder itself is the anomaly."""
    digits = read(ROOT / NORMAL)
    for row, (image, label) in enumerate(zip(digits.images[:600], digits.labels, strict=False)):
        file = tmp_path / "ours" / digits.class_names[label] / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(file)
    text = PARAMS.replace("side_px: 32", "side_px: 56").replace(
        "calibration_fraction: 0.2", "calibration_fraction: 0.3"
    )
    assert succeeded(packed(tmp_path, tmp_path / "ours", ROOT / NORMAL, text))
    assert divided(tmp_path).returncode == 0
    arrays = load_arrays(tmp_path / "images")
    normal = {x.tobytes() for part in ("train", "test") for x in arrays[f"normal/{part}/images"]}
    for part in ("head", "test"):
        assert not normal & {image.tobytes() for image in arrays[f"anomaly/{part}/images"]}


def test_too_few_photos_to_calibrate_are_refused_before_anything_is_trained(photos: Path) -> None:
    text = PARAMS.replace("calibration_fraction: 0.2", "calibration_fraction: 0.1")
    assert succeeded(packed(photos, photos / "ours", photos / "odd", text))
    process = divided(photos)
    expected = (
        "split: calibration images: expected at least 78 for combined at alpha 0.025, got 40; "
        "increase split.calibration_fraction or calibration.alpha, or add images\n"
    )
    assert (process.returncode, process.stderr) == (2, expected)
    for number in range(10):
        shutil.copy(
            photos / "ours" / "bee" / f"{number}.png", photos / "ours" / "ant" / f"x{number}.png"
        )
    assert succeeded(packed(photos, photos / "ours", photos / "odd", text))
    process = divided(photos)
    assert process.stderr.endswith("or add images; 20 excluded, as they occur in two classes\n")


def test_more_pixels_than_memory_is_meant_to_hold_are_refused(photos: Path) -> None:
    text = PARAMS.replace("max_gigabytes: 8.0", "max_gigabytes: 0.001")
    assert succeeded(packed(photos, photos / "ours", photos / "odd", text))
    process = divided(photos)
    expected = (
        "split: expected at most 0.001 GB of pixels (split.max_gigabytes), got 0.0 GB: 500 normal, "
        "5 anomaly images of 32 x 32 px (rgb); choose fewer classes, anomaly.classes none or a "
        "smaller images.side_px\n"
    )
    assert (process.returncode, process.stderr) == (2, expected)


def test_photos_follow_the_form_of_idx_images_and_idx_images_that_of_photos(photos: Path) -> None:
    assert succeeded(packed(photos, ROOT / NORMAL, photos / "odd"))
    assert load_arrays(photos / "pack")[str(photos / "odd")].shape == (5, 1, 28, 28)
    assert succeeded(divided(photos))
    assert succeeded(packed(photos, photos / "ours", ROOT / ANOMALY))
    assert succeeded(divided(photos))
    shapes = {array.shape[1:] for array in load_arrays(photos / "images").values()}
    assert shapes == {(3, 32, 32), ()}


def test_a_path_that_is_both_data_sets_is_packed_once(photos: Path) -> None:
    assert succeeded(packed(photos, photos / "ours", photos / "ours"))
    assert list(load_arrays(photos / "pack")) == [str(photos / "ours")]
    assert len(pd.read_csv(photos / "rows.csv")) == 500


def test_another_calibration_fraction_moves_no_photo_into_or_out_of_the_test(photos: Path) -> None:
    assert succeeded(packed(photos, photos / "ours", photos / "odd"))
    tests = []
    for fraction in ("0.2", "0.5"):
        text = (photos / "params.yaml").read_text()
        old = "calibration_fraction: 0.2"
        (photos / "params.yaml").write_text(text.replace(old, f"calibration_fraction: {fraction}"))
        assert succeeded(divided(photos))
        manifest = pd.read_csv(photos / "manifest.csv")
        tests.append(set(manifest[manifest["part"] == "normal/test"]["source"]))
    assert tests[0] == tests[1]


def test_too_many_bad_files_end_with_code_3_and_leave_their_list(photos: Path) -> None:
    (photos / "ours" / "ant" / "3.png").write_text("no image")
    (photos / "pack").write_text("the last good one")
    strict = PARAMS.replace("max_bad_fraction: 0.01", "max_bad_fraction: 0.001")
    process = packed(photos, photos / "ours", photos / "odd", strict)
    expected = (
        f"pack: {photos}/ours: expected at most 0.1% unreadable images (images.max_bad_fraction), "
        f"got 1 of 500 (0.2%); {photos}/unreadable.csv lists them, the first: "
        "ant/3.png (not an image, or "
        "not in a supported format)\n"
    )
    assert (process.returncode, process.stderr) == (3, expected)
    assert (photos / "pack").read_text() == "the last good one"
    (row,) = pd.read_csv(photos / "unreadable.csv").to_dict("records")
    assert row == {
        "data_set": str(photos / "ours"),
        "file": "ant/3.png",
        "reason": "not an image, or not in a supported format",
    }


def test_few_enough_bad_files_are_left_out_and_listed(photos: Path) -> None:
    (photos / "ours" / "ant" / "3.png").write_text("no image")
    (photos / "ours" / "ant" / "notes.txt").touch()
    process = packed(photos, photos / "ours", photos / "odd")
    expected = (
        f"pack: {photos}/ours: 1 of 500 images cannot be read and are skipped; "
        f"{photos}/unreadable.csv lists them\n"
    )
    assert (process.returncode, process.stderr) == (0, expected)
    assert pd.read_csv(photos / "unreadable.csv")["file"].tolist() == ["ant/3.png"]
    assert pd.read_csv(photos / "ignored.csv")["file"].tolist() == ["ant/notes.txt"]
    assert len(pd.read_csv(photos / "rows.csv")) == 504


def test_a_class_with_one_photo_is_refused_by_name(photos: Path) -> None:
    write_images(photos, "ours/cat/1.png")
    assert succeeded(packed(photos, photos / "ours", photos / "odd"))
    process = divided(photos)
    expected = "split: class cat of the normal images: expected at least 2 in normal/train, got 0\n"
    assert (process.returncode, process.stderr) == (2, expected)


def test_a_folder_whose_name_is_not_utf8_is_packed_under_a_printable_name(photos: Path) -> None:
    try:
        (photos / "ours" / "ant").rename(photos / "ours" / os.fsdecode(b"caf\xe9"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert succeeded(packed(photos, photos / "ours", photos / "odd"))
    assert succeeded(divided(photos))
    assert load_about(photos / "images")["class_names"] == ["bee", r"caf\xe9"]
    assert r"caf\xe9/0.png" in pd.read_csv(photos / "manifest.csv")["source"].tolist()
