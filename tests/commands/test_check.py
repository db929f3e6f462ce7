"""`belong check`: problems of a folder, found by image, by class and by count."""

import base64
import io
import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage

from belong.commands.check import check, duplicates, image_properties, sample_sizes
from belong.commands.check.options import CheckOptions
from belong.commands.check.page import findings_page
from belong.commands.check.report import Report
from belong.commands.check.sample_sizes import Training
from belong.commands.fit.plan import choose_calibration, plan
from belong.commands.fit.settings import parameters
from belong.commands.main import main
from belong.data import isolation
from belong.data.dataset import DataSet, with_test_part
from belong.data.resize import Form
from belong.data.splits import assign
from belong.detectors import covariance
from belong.models import lenet
from belong.runtime.errors import InputError
from tests.imports import ROOT
from tests.photo_folders import write_images


def picture(seed: int, side_px: int = 64) -> Image.Image:
    """Return a smooth picture, a different one for each seed."""
    rng = np.random.default_rng(seed)
    spots = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
    return spots.resize((side_px, side_px), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of 40 different pictures."""
    folder = tmp_path / "photos"
    for name, first in (("ant", 0), ("bee", 100)):
        (folder / name).mkdir(parents=True)
        for place in range(40):
            picture(first + place).save(folder / name / f"{place}.png")
    return folder


def check_folder(folder: Path, anomalies: Path | None = None, alpha: float = 0.2) -> Report:
    return check.check(
        folder,
        anomalies,
        CheckOptions(alpha=alpha, calibration_fraction=0.1, max_pixels=1_000_000, jobs=1),
    )


def images_of(report: Report, name: str) -> dict[str, str]:
    (images,) = [dict(one.images) for one in report.findings if one.name == name]
    return images


def levels(report: Report) -> dict[str, str]:
    return {one.name: one.level for one in report.findings}


def test_a_folder_without_faults_has_only_notes_on_small_numbers(photos: Path) -> None:
    report = check_folder(photos)
    # Of each 40: 8 for the test, 3 of the other 32 to calibrate, 29 to train.
    assert levels(report) == {
        "few_to_train": "matters",
        "promise": "matters",
        "too_few_for_combined": "matters",
        "too_few_per_class": "note",
        "covariance": "note",
    }
    assert report.can_be_trained_on
    assert report.counts["train"].to_dict() == {"ant": 40, "bee": 40}


def test_the_same_picture_is_found_whatever_its_name_class_and_part(photos: Path) -> None:
    shutil.copy(photos / "ant/3.png", photos / "ant/x.png")
    Image.open(photos / "ant/5.png").save(photos / "bee/5 again.bmp")
    report = check_folder(photos)
    assert images_of(report, "same_within_class") == {
        "ant/3.png": "same as ant/x.png",
        "ant/x.png": "same as ant/3.png",
    }
    assert images_of(report, "same_across_classes") == {
        "ant/5.png": "same as bee/5 again.bmp",
        "bee/5 again.bmp": "same as ant/5.png",
    }
    assert not any(name.startswith("near") for name in levels(report))


def test_a_resaved_picture_is_found_across_training_and_test(tmp_path: Path) -> None:
    for part, first in (("train", 0), ("test", 200)):
        for name, offset in (("ant", 0), ("bee", 50)):
            (tmp_path / part / name).mkdir(parents=True)
            for place in range(10):
                picture(first + offset + place).save(tmp_path / part / name / f"{place}.png")
    picture(3).resize((40, 40)).save(tmp_path / "test/ant/small.jpg", quality=40)
    report = check_folder(tmp_path)
    assert images_of(report, "near_across_parts") == {
        "train/ant/3.png": "nearly the same as test/ant/small.jpg",
        "test/ant/small.jpg": "nearly the same as train/ant/3.png",
    }
    # 1 of 21 test images, more than 2%.
    assert levels(report)["near_across_parts"] == "spoils"


def test_a_normal_picture_among_the_anomalies_is_found(photos: Path, tmp_path: Path) -> None:
    odd = write_images(tmp_path / "odd", *(f"{i}.png" for i in range(5)))
    shutil.copy(photos / "ant/7.png", odd / "7 again.png")
    report = check_folder(photos, odd)
    other = f"{odd}/7 again.png"
    assert images_of(report, "same_across_anomalies") == {
        "ant/7.png": f"same as {other}",
        other: "same as ant/7.png",
    }
    assert report.anomalies["train"].to_dict() == {"odd": 6}


def test_odd_files_are_named_each_with_its_reason(photos: Path) -> None:
    (photos / "ant/empty.png").touch()
    (photos / "ant/notes.txt").touch()
    (photos / "ant/phone.heic").write_bytes(b"x")
    whole = (photos / "bee/1.png").read_bytes()
    (photos / "bee/cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (64, 64), (9, 9, 9)).save(photos / "ant/black.png")
    picture(900, 8).save(photos / "ant/tiny.png")
    picture(901).resize((64, 400)).save(photos / "ant/narrow.png")
    picture(902).convert("L").save(photos / "ant/grey.png")
    picture(903).save(photos / "bee/really.png", format="BMP")
    frames = [picture(904), picture(905)]
    frames[0].save(photos / "bee/moves.gif", save_all=True, append_images=frames[1:])
    report = check_folder(photos)
    unreadable = images_of(report, "unreadable")
    assert unreadable["ant/empty.png"] == "empty: 0 bytes"
    assert unreadable["ant/phone.heic"] == "not an image, or not in a supported format"
    assert set(unreadable) == {"ant/empty.png", "ant/phone.heic", "bee/cut.png"}
    assert levels(report)["unreadable"] == "spoils"  # 3 of 89
    assert images_of(report, "ignored") == {
        "ant/notes.txt": "not an image, by its name and content"
    }
    assert set(images_of(report, "blank")) == {"ant/black.png"}
    assert images_of(report, "tiny") == {"ant/tiny.png": "8 x 8 pixels"}
    assert images_of(report, "odd_shape") == {"ant/narrow.png": "64 x 400 pixels"}
    assert set(images_of(report, "other_color")) == {"ant/grey.png"}
    assert images_of(report, "misnamed") == {"bee/really.png": "is BMP"}
    assert set(images_of(report, "animated")) == {"bee/moves.gif"}
    assert not report.can_be_trained_on


def scene(seed: int, *, blur: float = 0, brightness: float = 1) -> Image.Image:
    """Noise with details of all sizes, as photos have them, at a shorter side of 256 pixels."""
    rng = np.random.default_rng(seed)
    layers = [rng.normal(0, 25, (256 // step + 1, 384 // step + 1)) for step in (1, 4, 16, 64)]
    sized = [Image.fromarray(one).resize((384, 256), Image.Resampling.BICUBIC) for one in layers]
    whole = np.sum([np.asarray(one) for one in sized], axis=0)
    pixels = ((128 + whole) * brightness).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(blur))


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Two classes of 20 sharp photos."""
    for place in range(40):
        folder = tmp_path / "scenes" / "ab"[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        scene(place).save(folder / f"{place}.png")
    return tmp_path / "scenes"


@pytest.mark.pipeline
def test_a_blurred_a_dark_and_an_overexposed_photo_are_named(scenes: Path) -> None:
    assert not {"blurred", "dark", "overexposed"} & set(levels(check_folder(scenes)))
    scene(50, blur=2).save(scenes / "a/blurred.png")
    scene(51, blur=2).resize((1152, 768)).save(scenes / "b/large and blurred.jpg")
    scene(52, brightness=0.12).save(scenes / "a/dark.png")
    scene(53, brightness=2.5).save(scenes / "b/bright.png")
    report = check_folder(scenes)
    assert set(images_of(report, "blurred")) == {"a/blurred.png", "b/large and blurred.jpg"}
    assert set(images_of(report, "dark")) == {"a/dark.png"}
    assert set(images_of(report, "overexposed")) == {"b/bright.png"}


def test_the_sharpness_is_that_of_the_laplacian_before_and_after_an_average(
    tmp_path: Path,
) -> None:
    image = scene(0)
    image.save(tmp_path / "a.png")
    properties = image_properties.at_file(
        tmp_path / "a.png", max_pixels=10**6, background=(0, 0, 0)
    )
    pixels = np.asarray(image, float)
    averaged = ndimage.uniform_filter(pixels, 3, mode="nearest").round()
    variance, lowered = (ndimage.laplace(one)[1:-1, 1:-1].var() for one in (pixels, averaged))
    assert properties.sharpness == pytest.approx(variance / lowered, rel=0.02)


@pytest.mark.pipeline
def test_where_all_photos_are_blurred_alike_none_is_named(tmp_path: Path) -> None:
    for place in range(20):
        folder = tmp_path / "ab"[place % 2]
        folder.mkdir(exist_ok=True)
        scene(place, blur=2).save(folder / f"{place}.png")
    assert "blurred" not in levels(check_folder(tmp_path))


@pytest.mark.pipeline
def test_where_a_tenth_of_the_photos_is_white_that_is_their_manner(scenes: Path) -> None:
    for place in range(5):
        scene(60 + place, brightness=2.5).save(scenes / f"a/bright {place}.png")
    assert "overexposed" not in levels(check_folder(scenes))


def test_a_panorama_is_named_even_among_panoramas_and_what_is_left_of_it_said(
    tmp_path: Path,
) -> None:
    for place in range(4):
        folder = tmp_path / "ab"[place % 2]
        folder.mkdir(exist_ok=True)
        picture(place, 40).resize((800, 40)).save(folder / f"{place}.png")
    (finding,) = [one for one in check_folder(tmp_path).findings if one.name == "odd_shape"]
    assert len(finding.images) == 4
    assert finding.sentence.endswith(
        "training sees only the central square, down to 5% of the image"
    )


def test_a_broken_color_profile_is_named(photos: Path) -> None:
    picture(3).save(photos / "ant/3.png", icc_profile=b"broken")
    assert images_of(check_folder(photos), "broken_profile") == {"ant/3.png": "it is damaged"}


def test_a_line_that_is_lost_at_an_eighth_of_the_size_is_seen(tmp_path: Path) -> None:
    for place in range(4):
        pixels = np.full((1600, 1600), 150 + 8 * place, np.uint8)
        folder = tmp_path / ("even", "scratch")[place % 2]
        folder.mkdir(exist_ok=True)
        if folder.name == "scratch":
            pixels[700, 300:1300] -= 28
        Image.fromarray(pixels).save(folder / f"{place}.jpg", quality=90)
    report = check.check(tmp_path, options=CheckOptions(alpha=0.2, jobs=1))
    assert set(images_of(report, "blank")) == {"even/0.jpg", "even/2.jpg"}


def test_heic_photos_without_the_extra_are_told_in_one_line_before_any_work(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(isolation, "_idle", [])
    monkeypatch.setattr(sys, "frozen", True, raising=False)  # another process would have the extra
    for place in range(3):
        (photos / f"ant/{place}.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    report = check_folder(photos)
    message = "3 HEIC photos cannot be read; run pip install pillow-heif"
    assert capsys.readouterr().err.splitlines().count(message) == 1
    reasons = set(images_of(report, "unreadable").values())
    assert reasons == {"a HEIC photo; to read HEIC photos, run pip install pillow-heif"}


@pytest.mark.pipeline
def test_the_page_shows_the_photos_of_each_finding_and_no_markup_of_their_names(
    scenes: Path, tmp_path: Path
) -> None:
    scene(50, blur=2).save(scenes / "a/<b>blurred.png")
    assert main(["check", str(scenes), "--alpha=0.2", "-o", str(tmp_path / "out")]) in (0, 1)
    page = (tmp_path / "out/findings.html").read_text(encoding="utf-8")
    assert "a/&lt;b&gt;blurred.png" in page
    assert "<b>" not in page
    (content,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        assert picture.size == (320, 213)


@pytest.mark.pipeline
def test_the_page_shows_digits_with_each_of_their_pixels(tmp_path: Path) -> None:
    digits = ROOT / "tests/data/mnist-small"
    shutil.copytree(digits, tmp_path / "copies")
    report = check.check(digits, tmp_path / "copies", CheckOptions(alpha=0.2, jobs=1))
    first = next(path for one in report.findings for path, _ in one.images)
    page = findings_page(report, CheckOptions())
    assert f'<p class="result">{report.verdict}</p>' in page
    source = report.sources[first]
    assert isinstance(source, np.ndarray)
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one))))
        for one in re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    ]
    assert any(np.array_equal(one, source[0]) for one in pictures)


def test_classes_that_differ_in_color_and_size_are_told_by_the_file(tmp_path: Path) -> None:
    for place in range(10):
        for name, image in (
            ("ant", picture(place).convert("L")),
            ("bee", picture(50 + place, 160)),
        ):
            (tmp_path / name).mkdir(exist_ok=True)
            image.save(tmp_path / name / f"{place}.png")
    assert {"class_by_color", "class_by_size"} <= set(levels(check_folder(tmp_path)))


def test_two_folders_of_idx_files_are_checked_like_photos() -> None:
    report = check_folder(ROOT / "tests/data/mnist-small", ROOT / "tests/data/fashion-mnist-small")
    assert len(report.counts) == len(report.anomalies) == 10
    none = {"unreadable", "blank", "tiny", "same_across_parts", "blurred", "dark", "overexposed"}
    assert not none & set(levels(report))


@pytest.mark.parametrize(("alpha", "least"), [(0.025, 39), (0.1, 9), (0.05, 19)])
def test_one_calibration_image_too_few_spoils_and_one_more_does_not(
    alpha: float, least: int
) -> None:
    parts = pd.DataFrame({"train": 100, "calibration": [least - 2, 1], "test": 9}, index=["a", "b"])
    training = Training("split", alpha, 0.1, [], [])
    assert "too_few_to_calibrate" in {one.name for one in sample_sizes.too_few(parts, training)}
    enough = parts.assign(calibration=[least - 1, 1])
    assert all(one.level != "spoils" for one in sample_sizes.too_few(enough, training))


@pytest.mark.pipeline
@pytest.mark.parametrize("fraction", ["", "--calibration-fraction=0.1"])
def test_a_class_of_one_image_is_named_once_and_not_counted_further(
    photos: Path, capsys: pytest.CaptureFixture[str], fraction: str
) -> None:
    write_images(photos, "cow/1.png", side_px=64)
    assert main(["check", str(photos), "--alpha=0.2", *[fraction] * bool(fraction)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  - ")]
    first = "fewer than 2 training images; training stops"
    if not fraction:
        first = "fewer than 5 training images; `belong fit` stops"
    assert f"  - 1 class (cow): {first}" in lines
    cow_lines = [
        line for line in lines if "cow" in line and "calibration images, the minimum" not in line
    ]
    assert len(cow_lines) == 1
    assert not any(" 0 in the smallest" in line or "  - 0 " in line for line in lines)


def test_a_class_ten_times_as_large_as_another_is_named() -> None:
    parts = pd.DataFrame({"train": [500, 50]}, index=["a", "b"])
    (finding,) = sample_sizes.imbalance(parts)
    assert finding.sentence.startswith("class a has 500 training images and class b 50")
    assert not list(sample_sizes.imbalance(parts.assign(train=[499, 50])))


@pytest.mark.parametrize("sizes", [(4, 7), (13, 40), (25, 105)])
def test_the_images_are_divided_as_the_pipeline_divides_them(sizes: tuple[int, int]) -> None:
    n = sum(sizes)
    rng = np.random.default_rng(0)
    data = DataSet(
        rng.integers(0, 256, (n, 1, 4, 4), np.uint8),
        np.repeat([0, 1], sizes),
        ("a", "b"),
        np.zeros(n, bool),
        np.arange(n).astype(str),
    )
    divided = with_test_part(data, fraction=0.2, rng=rng)
    none = replace(data, images=data.images[:0], labels=data.labels[:0], is_test=data.is_test[:0],
                   sources=data.sources[:0])  # fmt: skip
    table = assign(
        divided,
        none,
        {},
        form=Form.of(data.images),
        calibration_fraction=0.1,
        further_images=0,
        rng=rng,
    ).value_counts(["part", "class_name"])
    every = pd.DataFrame({"train": sizes, "test": [0, 0]}, index=["a", "b"])
    parts = sample_sizes.division(every, test_fraction=0.2, calibration_fraction=0.1)
    for part in ("train", "calibration", "test"):
        assert parts[part].to_dict() == {name: table[f"normal/{part}", name] for name in "ab"}


@pytest.mark.parametrize(("sizes", "alpha"), [((120, 120, 120), 0.025), ((60, 60), 0.025),
                                              ((90, 4), 0.2), ((5, 50), 0.2),
                                              ((60, 60), None), ((12, 12), None),
                                              ((20,) * 5, None), ((100,), None),
                                              ((12, 12), 0.01), ((12, 3), None),
                                              ((5, 4), None), ((400,), None)])  # fmt: skip
@pytest.mark.parametrize("is_frozen", [False, True])
def test_check_refuses_what_fit_refuses_and_divides_the_rest_as_fit_does(
    sizes: tuple[int, ...], alpha: float | None, is_frozen: bool
) -> None:
    names = tuple("abcde"[: len(sizes)])
    table = pd.DataFrame({"train": sizes, "test": 0}, index=list(names))
    training = sample_sizes.as_fitted(table, CheckOptions(alpha=alpha), is_frozen=is_frozen)
    n = sum(sizes)
    data = DataSet(
        np.zeros((n, 1, 28, 28), np.uint8),
        np.repeat(range(len(sizes)), sizes),
        names,
        np.zeros(n, bool),
        np.arange(n).astype(str),
    )
    values = parameters({})
    try:
        kind, planned = choose_calibration(
            data, requested="auto", alpha=alpha or values.calibration.alpha,
            own_alpha=alpha is not None, is_frozen=is_frozen, split=values.split,
        )  # fmt: skip
        fitted = plan(
            data, alpha=planned, backbone=None, split=values.split, train=values.train,
            lambda_=values.lambda_, settings={}, calibration=kind,
        )  # fmt: skip
    except InputError:
        assert training.refused
    else:
        assert not training.refused
        assert (training.calibration, training.alpha) == (kind, planned)
        if kind == "split":
            assert training.calibration_fraction == fitted.calibration_fraction


def test_the_stated_properties_of_networks_and_covariances_are_true() -> None:
    assert sample_sizes.PER_CLASS == covariance.PER_CLASS
    # 128: the default of train.embedding in params.yaml.
    assert {"lenet": lenet.FEATURES, "the layer on a backbone": 128} == sample_sizes.FEATURES


def test_the_defaults_are_those_of_params_yaml_as_it_comes() -> None:
    options = CheckOptions()
    values = parameters({})
    assert values.calibration.alpha == sample_sizes.DEFAULT_ALPHA
    assert options.test_fraction == values.split.test_fraction
    assert (options.max_bad_fraction, options.max_pixels) == (0.01, 128_000_000)
    assert options.background == (255, 255, 255)


def test_a_film_of_alike_frames_is_one_group_and_all_its_frames_are_in_it() -> None:
    base = np.asarray(picture(0, 16).convert("L")).astype(int)
    rng = np.random.default_rng(0)
    frames = np.clip(base + rng.integers(-3, 4, (300, 16, 16)), 0, 255).astype(np.uint8)
    assert (duplicates.nearly_same(frames) == 0).all()


def test_near_pairs_are_those_of_comparing_all_with_all() -> None:
    rng = np.random.default_rng(0)
    flat = np.stack([np.asarray(picture(seed, 16).convert("L")) for seed in range(150)])
    noisy = flat[:50] + rng.normal(0, 6, (50, 16, 16)) * (np.arange(50) % 5)[:, None, None]
    every = np.concatenate([flat, noisy.clip(0, 255).astype(np.uint8)])
    lengths = np.corrcoef(every.reshape(200, -1).astype(np.float64)) - np.eye(200)
    # Unit vectors at a distance of 0.1 have a correlation of 1 - 0.1 ** 2 / 2.
    assert ((lengths >= 0.995).any(axis=1) == (duplicates.nearly_same(every) >= 0)).all()


def test_blurring_brightening_and_resaving_leave_a_picture_nearly_the_same(
    tmp_path: Path,
) -> None:
    image = picture(1, 200)
    versions = {
        "whole.png": image,
        "half.png": image.resize((100, 100)),
        "blurred.png": image.filter(ImageFilter.GaussianBlur(2)),
        "poor.jpg": image,
        "darker.png": image.point(lambda value: value * 0.8),
        "other.png": picture(2, 200),
    }
    thumbnails = []
    for name, version in versions.items():
        version.save(tmp_path / name, quality=20)  # which a PNG has none of
        properties = image_properties.at_file(
            tmp_path / name, max_pixels=10**6, background=(255, 255, 255)
        )
        thumbnails.append(properties.thumbnail)
    assert duplicates.nearly_same(np.array(thumbnails)).tolist() == [0, 0, 0, 0, 0, -1]


@pytest.mark.pipeline
def test_the_command_writes_what_it_says_and_ends_with_1_where_the_result_is_spoiled(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(photos / "ant/3.png", photos / "ant/x.png")
    # All 81 images calibrate, and alpha 0.01 needs 99.
    assert main(["check", str(photos), "-o", str(tmp_path / "out"), "--alpha", "0.01"]) == 1
    output = capsys.readouterr().out
    assert output.endswith("Do not train on this folder yet: 1 problem would spoil the result.\n")
    about = json.loads((tmp_path / "out/check.json").read_text())
    assert about["findings"][0]["finding"] == "too_few_to_calibrate"
    assert about["classes"]["ant"] == {"train": 41, "test": 0, "unreadable": 0}
    table = pd.read_csv(tmp_path / "out/findings.csv")
    assert table["path"].tolist() == ["ant/3.png", "ant/x.png"]
    # With the default alpha, `belong fit` accepts these few photos.
    assert main(["check", str(photos)]) == 0
    assert "cross-conformal calibration (10 folds, 81 images)" in capsys.readouterr().out
    assert main(["check", str(photos), "--alpha", "0.2", "--calibration-fraction", "0.1"]) == 0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "expected one folder of images per class, the images of a single"),
        (["Cat/1.png", "cat/2.png"], "expected class names that differ in more than case and"),
        (
            ["cat/1.png", "2.png"],
            "expected all images in class folders, got images beside them: 2.png",
        ),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], message: str
) -> None:
    write_images(tmp_path, *names)
    assert main(["check", str(tmp_path)]) == 2
    output = capsys.readouterr().err
    assert output.startswith(f"belong check: {tmp_path}: {message}")
    assert output.count("\n") == 1


def test_a_folder_of_which_nothing_can_be_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_text("not a picture")
    assert main(["check", str(tmp_path)]) == 3
    message = "0 of 2 images can be read; the first: ant/1.png (not an image, or not in a sup"
    assert message in capsys.readouterr().err


def test_a_class_that_is_a_formula_to_a_spreadsheet_is_none_in_the_table(
    photos: Path, tmp_path: Path
) -> None:
    (photos / "ant").rename(photos / "=ant")
    (photos / "=ant/a.png").touch()
    main(["check", str(photos), "-o", str(tmp_path / "out")])
    table = pd.read_csv(tmp_path / "out/findings.csv")
    assert table.to_numpy().tolist() == [["./=ant/a.png", "unreadable", "empty: 0 bytes"]]


def test_a_name_that_is_not_utf8_is_written_with_its_bytes(photos: Path, tmp_path: Path) -> None:
    try:
        (photos / "ant" / os.fsdecode(b"caf\xe9.png")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    main(["check", str(photos), "-o", str(tmp_path / "out")])
    table = pd.read_csv(tmp_path / "out/findings.csv")
    assert table.to_numpy().tolist() == [[r"ant/caf\xe9.png", "unreadable", "empty: 0 bytes"]]
