"""The parts of `belong clean`: folds, p-values, copies, verdicts, and the output folder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import norm

from belong.commands.check.image_properties import ImageProperties, at_file
from belong.commands.check.image_stats import table_of
from belong.commands.clean.image_issues import files, near_images, same_images
from belong.commands.clean.label_issues import p_values
from belong.commands.clean.manifest import Remark, manifest
from belong.commands.clean.out_of_fold import folds
from belong.commands.clean.page import suspects_page
from belong.commands.clean.write_results import build, check_place
from belong.data.image_folder import list_images
from belong.runtime.errors import InputError
from tests.photo_folders import write_images

ALONE = -1


def fold_of(labels: np.ndarray, groups: np.ndarray, count: int = 5) -> np.ndarray:
    return folds(labels, groups, count=count, rng=np.random.default_rng(0))


def test_each_fold_has_a_fifth_of_each_class() -> None:
    labels = np.repeat([0, 1, 2], [50, 25, 10])
    counts = pd.crosstab(labels, fold_of(labels, np.full(85, ALONE)))
    assert counts.to_numpy().tolist() == [[10] * 5, [5] * 5, [2] * 5]


def test_images_of_one_group_are_in_one_fold() -> None:
    groups = np.full(40, ALONE)
    groups[[3, 20, 39]], groups[[0, 1]] = 0, 1
    fold = fold_of(np.repeat([0, 1], 20), groups)
    assert len(set(fold[[3, 20, 39]])) == len(set(fold[[0, 1]])) == 1


def test_p_values_of_a_normal_law_are_its_own() -> None:
    scores = norm.ppf((np.arange(1000) + 0.5) / 1000, loc=3, scale=2)
    assert np.allclose(p_values(scores), norm.sf(scores, loc=3, scale=2), rtol=0.05)


def test_a_few_wrong_images_hardly_move_the_law() -> None:
    scores = np.append(norm.ppf((np.arange(980) + 0.5) / 980), np.full(20, 8.0))
    p = p_values(scores)
    assert p[-20:].max() < 1e-9  # by rank alone, they would be the farthest 2% of any folder
    assert p[:980] == pytest.approx(norm.sf(scores[:980]), abs=0.03)


def test_where_most_scores_are_alike_nothing_is_rare() -> None:
    assert p_values(np.append(np.zeros(99), 5.0)).tolist() == [1.0] * 100


TABLE = pd.DataFrame(
    {
        "path": [f"{row}.png" for row in range(6)],
        "part": ["train", "train", "train", "test", "train", "train"],
        "class": ["a", "a", "b", "b", "a", "b"],
    }
)


def test_the_first_of_several_copies_stays() -> None:
    (remark,) = same_images(TABLE, np.array([0, 1, 5]), np.array(["x", "x", "y"]))
    assert (remark.row, remark.verdict, remark.other) == (1, "quarantine", 0)
    assert remark.sentence == "the same image as 0.png"


def test_a_training_image_with_a_copy_in_the_test_is_removed() -> None:
    (remark,) = same_images(TABLE, np.array([2, 3]), np.array(["x", "x"]))
    assert (remark.row, remark.sentence) == (2, "the same image as 3.png, in test")


def test_an_image_in_two_classes_is_removed_from_both() -> None:
    remarks = same_images(TABLE, np.array([0, 2, 4]), np.array(["x", "x", "x"]))
    assert [(one.row, one.verdict, one.other) for one in remarks] == [
        (0, "review", 2),
        (2, "review", 0),
        (4, "review", 2),
    ]
    assert remarks[0].sentence == "the same image is in class b"


def test_a_brighter_copy_is_found_and_named() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 100, (4, 16, 16), np.uint8)
    pictures[3] = pictures[1] + 50
    groups, remarks = near_images(TABLE, np.array([0, 1, 2, 4]), pictures)
    assert (groups[1] == groups[3], groups[0], groups[2]) == (True, ALONE, ALONE)
    assert [(one.row, one.verdict, one.sentence) for one in remarks] == [
        (4, "review", "nearly the same image as 1.png")
    ]


def test_no_image_has_no_copies() -> None:
    none = np.empty(0, np.int64)
    groups, remarks = near_images(TABLE, none, np.empty((0, 16, 16), np.uint8))
    assert (groups.tolist(), remarks) == ([], [])


def properties_of(folder: Path, *pictures: Image.Image) -> list[ImageProperties | str]:
    properties: list[ImageProperties | str] = []
    for place, picture in enumerate(pictures):
        picture.save(folder / f"{place}.png")
        properties.append(at_file(folder / f"{place}.png", max_pixels=10**6, background=(0, 0, 0)))
    return properties


def test_blank_tiny_and_unreadable_files_are_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    faint = (100 + noise // 40).astype(np.uint8)
    small = Image.fromarray(noise).resize((9, 9))
    blank = Image.new("L", (40, 40), 7)
    properties = properties_of(
        tmp_path, Image.fromarray(noise), blank, small, Image.fromarray(faint)
    )
    remarks = list(files(table_of([*properties, "empty: 0 bytes"]), least_side_px=None))
    assert [(one.row, one.verdict, one.problem) for one in remarks] == [
        (1, "quarantine", "blank"),
        (2, "review", "tiny"),
        (3, "review", "nearly_blank"),
        (4, "quarantine", "unreadable"),
    ]
    assert (
        remarks[1].sentence
        == "the shorter side has 9 pixels, less than a quarter of the median, 40"
    )
    assert remarks[3].sentence == "cannot be read: empty: 0 bytes"


def test_the_stated_side_decides_what_is_tiny(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    (remark,) = files(table_of(properties_of(tmp_path, Image.fromarray(noise))), least_side_px=41)
    assert remark.sentence == "the shorter side has 40 pixels, expected at least 41"


def test_the_gravest_remark_decides_and_all_are_told() -> None:
    remarks = [
        Remark(1, "review", "tiny", "too small"),
        Remark(1, "quarantine", "foreign", "like nothing"),
        Remark(2, "review", "near_copy", "as 0.png", 0),
    ]
    table = manifest(TABLE, remarks, np.empty(0, np.int64), None)
    assert table["verdict"].to_list() == ["keep", "quarantine", "review", "keep", "keep", "keep"]
    assert (table["problem"][1], table["reason"][1]) == ("foreign", "like nothing; too small")
    assert (table["copy_of"][2], table["copy_of"][1]) == ("0.png", "")


@pytest.mark.parametrize("inside", [".", "out", "a/out"])
def test_nothing_is_written_among_the_images(tmp_path: Path, inside: str) -> None:
    folder = write_images(tmp_path / "photos", "a/0.png", "b/0.png")
    with pytest.raises(InputError, match="which is never changed"):
        check_place(folder / inside, folder, overwrite=True)


def test_nothing_is_written_around_the_images(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "out" / "cleaned", "a/0.png", "b/0.png")
    with pytest.raises(InputError, match=r"contains .*cleaned; expected another folder"):
        check_place(tmp_path / "out", folder, overwrite=True)


def test_results_of_another_run_are_only_replaced_if_asked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.csv").write_text("mine")
    with pytest.raises(InputError, match=r"has the manifest\.csv of another run"):
        check_place(out, tmp_path / "photos", overwrite=False)
    check_place(out, tmp_path / "photos", overwrite=True)


@pytest.mark.parametrize("tree", ["link", "copy"])
def test_a_tree_has_the_same_images_at_the_same_places(tmp_path: Path, tree: str) -> None:
    folder = write_images(tmp_path / "photos", "a/0.png", "a/deep/1.png", "b/2.png")
    files = [Path("a/deep/1.png"), Path("b/2.png")]
    build(tmp_path / "cleaned", folder, files, tree="link" if tree == "link" else "copy")
    listing = list_images(tmp_path / "cleaned")
    assert (listing.files, listing.class_names) == (files, ("a", "b"))
    for file in files:
        assert (tmp_path / "cleaned" / file).is_symlink() == (tree == "link")
        assert (tmp_path / "cleaned" / file).read_bytes() == (folder / file).read_bytes()


def test_names_on_the_page_are_text() -> None:
    table = TABLE.assign(path=["<script>x</script>.png", *TABLE["path"][1:]])
    remarks = [Remark(0, "review", "tiny", "too <b>small</b>")]
    verdicts = manifest(table, remarks, np.empty(0, np.int64), None)
    page = suspects_page(verdicts, {}, title="<i>mine</i>", facts={"review": 1})
    assert "&lt;script&gt;x&lt;/script&gt;.png" in page
    assert not any(tag in page for tag in ("<script", "<b>", "<i>"))


def test_the_page_says_the_result_in_a_sentence() -> None:
    verdicts = manifest(TABLE, [Remark(0, "review", "tiny", "small")], np.empty(0, np.int64), None)
    facts = {"images": 1200, "keep": 1170, "review": 1, "quarantine": 29}
    page = suspects_page(verdicts, {}, title="photos", facts=facts)
    assert "30 of 1,200 images are suspect: 29 to quarantine, 1 to review." in page
    assert "Quarantine: the image would harm training. Review: look at the image" in page
