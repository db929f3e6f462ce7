"""Data sets: folders of IDX files, and the choice of their classes."""

import re
from pathlib import Path

import numpy as np
import pytest

from belong.datasets import DataSet, chosen, read, without
from belong.errors import InputError
from tests.idx_files import some_images, write_folder

SMALL = Path(__file__).parent / "data" / "mnist-small"
HERE = Path("some/folder")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four classes, six training images and three test images."""
    return write_folder(tmp_path, train_labels=[3, 0, 1, 2, 1, 0], test_labels=[2, 0, 2])


def ten_classes() -> DataSet:
    """Return two images of each digit: the first for training, the second for the test."""
    labels = np.repeat(np.arange(10), 2)
    return DataSet(
        images=np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1),
        labels=labels,
        class_names=tuple("0123456789"),
        is_test=np.tile([False, True], 10),
        sources=np.array([f"file/{i}" for i in range(20)]),
    )


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_is_read_with_its_training_images_first(tmp_path: Path, zipped: bool) -> None:
    data = read(
        write_folder(
            tmp_path,
            train_labels=[1, 0, 2],
            test_labels=[2, 0],
            test_images=255 - some_images(2),
            zipped=zipped,
        )
    )
    assert data.labels.tolist() == [1, 0, 2, 2, 0]
    assert data.is_test.tolist() == [False, False, False, True, True]
    assert data.class_names == ("0", "1", "2")
    expected = np.concatenate((some_images(3), 255 - some_images(2)))[:, None]
    assert data.images.tolist() == expected.tolist()
    assert data.images.dtype == np.uint8
    assert data.labels.dtype == np.int64


def test_the_source_of_an_image_is_its_file_and_its_place_in_it(folder: Path) -> None:
    sources = read(folder).sources.tolist()
    assert sources[:2] == ["train-images-idx3-ubyte/0", "train-images-idx3-ubyte/1"]
    assert sources[5:7] == ["train-images-idx3-ubyte/5", "t10k-images-idx3-ubyte/0"]


def test_the_small_mnist_has_2000_and_500_images_and_mnists_first_digits() -> None:
    data = read(SMALL)
    assert data.images.shape == (2500, 1, 28, 28)
    assert np.bincount(data.is_test).tolist() == [2000, 500]
    assert data.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.labels[2000:2010].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_of_a_plain_and_a_gzipped_file_the_plain_one_is_read(folder: Path) -> None:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"no gzip at all")
    assert len(read(folder).images) == 9


@pytest.mark.parametrize(
    ("classes", "kept"),
    [
        ("all", "0123456789"),
        ([3, 5], "35"),
        (["3", "5"], "35"),
        ([5, "3"], "35"),  # in the order of the data set
        ("1-9", "123456789"),
        ("0-0", "0"),
        ("4", "4"),
        (4, "4"),
        ([0], "0"),
    ],
)
def test_the_chosen_classes_are_kept_and_numbered_anew(
    classes: str | int | list[str | int], kept: str
) -> None:
    data = chosen(ten_classes(), classes, HERE)
    digits = [int(digit) for digit in kept]
    # Digit k has the images 2k (training) and 2k + 1 (test), whose pixel is their number.
    rows = [row for digit in digits for row in (2 * digit, 2 * digit + 1)]
    assert data.class_names == tuple(kept)
    assert data.images.flatten().tolist() == rows
    assert data.labels.tolist() == np.repeat(np.arange(len(digits)), 2).tolist()
    assert data.is_test.tolist() == [False, True] * len(digits)
    assert data.sources.tolist() == [f"file/{row}" for row in rows]


def test_choosing_classes_leaves_the_order_of_the_images() -> None:
    data = ten_classes()
    order = np.random.default_rng(0).permutation(20)
    shuffled = DataSet(
        data.images[order],
        data.labels[order],
        data.class_names,
        data.is_test[order],
        data.sources[order],
    )
    kept = chosen(shuffled, "3-6", HERE)
    expected = [image for image in order.tolist() if 6 <= image < 14]
    assert kept.images.flatten().tolist() == expected
    assert kept.labels.tolist() == [image // 2 - 3 for image in expected]


@pytest.mark.parametrize(
    ("classes", "kept"),
    [
        ("cat", ["cat"]),
        (["dog", "ant"], ["ant", "dog"]),
        ("0-1", ["ant", "bee"]),  # positions
        (2, ["cat"]),
        ("7", ["7"]),  # a name before a position
        (3, ["7"]),
    ],
)
def test_a_class_is_given_by_its_name_or_else_by_its_position(
    classes: str | int | list[str | int], kept: list[str]
) -> None:
    names = ("ant", "bee", "cat", "7", "dog")
    data = DataSet(
        images=np.zeros((5, 1, 1, 1), np.uint8),
        labels=np.arange(5),
        class_names=names,
        is_test=np.zeros(5, bool),
        sources=np.array(list("abcde")),
    )
    assert chosen(data, classes, HERE).class_names == tuple(kept)


ALL_NAMES = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("shoe", f"has no class shoe; its 10 classes are {ALL_NAMES}"),
        (10, f"has no class 10; its 10 classes are {ALL_NAMES}"),
        ([3, -1], f"has no class -1; its 10 classes are {ALL_NAMES}"),
        ("5-12", f"has no class 10; its 10 classes are {ALL_NAMES}"),
        ("", f"has no class ; its 10 classes are {ALL_NAMES}"),
        ([3, 4, 3], "class 3 is chosen twice"),
        ([3, "3"], "class 3 is chosen twice"),
        ([], "no class is chosen; wanted all, a list, or a range such as 0-9"),
        ("7-3", "the range of classes 7-3 runs backwards"),
        ("4-3", "the range of classes 4-3 runs backwards"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(
    classes: str | int | list[str | int], message: str
) -> None:
    with pytest.raises(InputError, match=f"^{HERE}: {message}$"):
        chosen(ten_classes(), classes, HERE)


def test_a_range_with_a_slip_of_the_finger_is_refused() -> None:
    with pytest.raises(InputError, match="has no class 10"):
        chosen(ten_classes(), "0-3000000000000000000", HERE)


def test_of_more_than_twelve_classes_a_message_names_five_and_the_last_three() -> None:
    data = DataSet(
        images=np.zeros((13, 1, 1, 1), np.uint8),
        labels=np.arange(13),
        class_names=tuple("abcdefghijklm"),
        is_test=np.zeros(13, bool),
        sources=np.array(list("abcdefghijklm")),
    )
    with pytest.raises(InputError, match=r"its 13 classes are a, b, c, d, e, \.\.\., k, l, m$"):
        chosen(data, "x", HERE)


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}/nowhere: no such folder$"):
        read(tmp_path / "nowhere")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"images\.zip: wanted a folder with IDX files, got a f"):
        read(tmp_path / "images.zip")


@pytest.mark.parametrize(
    "name",
    [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ],
)
def test_a_folder_without_one_of_the_four_files_is_refused_by_its_name(
    folder: Path, name: str
) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        read(folder)


def test_fewer_labels_than_images_are_refused_with_both_counts(tmp_path: Path) -> None:
    write_folder(tmp_path, train_labels=[0, 1], test_labels=[0, 1, 0], test_images=some_images(4))
    message = "t10k-images-idx3-ubyte has 4 images but t10k-labels-idx1-ubyte has 3 labels"
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_gap_in_the_training_labels_is_refused_with_the_class_that_is_missing(
    tmp_path: Path,
) -> None:
    write_folder(tmp_path, train_labels=[0, 1, 3], test_labels=[0])
    message = "labels run up to 3, but class 2 has no image; wanted labels 0..c-1 without a gap"
    with pytest.raises(InputError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("test_labels", [[0, 2, 3], [0, 2, 3, 7]])
def test_a_test_label_that_no_training_image_has_is_refused_with_its_place(
    tmp_path: Path, test_labels: list[int]
) -> None:
    write_folder(tmp_path, train_labels=[0, 1, 2], test_labels=test_labels)
    message = re.escape("test label 3 (image 2) in a data set of 3 classes (0..2)")
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_training_and_test_images_of_different_sizes_are_refused_with_both(
    tmp_path: Path,
) -> None:
    write_folder(tmp_path, train_labels=[0], test_labels=[0], test_images=some_images(1, 3, 4))
    with pytest.raises(InputError, match="training images have 3x2 pixels, the test images 3x4"):
        read(tmp_path)


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_a_file_without_images_is_refused(tmp_path: Path, part: str) -> None:
    write_folder(
        tmp_path,
        train_labels=[] if part == "train" else [0],
        test_labels=[] if part == "t10k" else [0],
    )
    with pytest.raises(InputError, match=f"{part}-images-idx3-ubyte: states 0 x 3 x 2 = 0 values"):
        read(tmp_path)


def test_none_chooses_no_image() -> None:
    data = chosen(ten_classes(), "none", HERE)
    assert (len(data.images), data.class_names) == (0, ())


def test_without_some_classes_the_others_are_kept_and_numbered_anew() -> None:
    data = without(ten_classes(), {"0", "1", "2", "4", "9", "no such class"})
    assert data.class_names == ("3", "5", "6", "7", "8")
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert data.images.flatten().tolist() == [6, 7, 10, 11, 12, 13, 14, 15, 16, 17]
