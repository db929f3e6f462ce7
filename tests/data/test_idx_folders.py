"""Folders of IDX files: the four of MNIST, as one data set."""

import re
from pathlib import Path

import numpy as np
import pytest

from belong.data.idx import read
from belong.runtime.errors import InputError
from tests.idx_files import some_images, write_folder
from tests.imports import ROOT

SMALL = ROOT / "tests" / "data" / "mnist-small"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four classes, six training images and three test images."""
    return write_folder(tmp_path, train_labels=[3, 0, 1, 2, 1, 0], test_labels=[2, 0, 2])


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
    message = "expected training labels 0 to 3 without a gap, got no image of class 2"
    with pytest.raises(InputError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("test_labels", [[0, 2, 3], [0, 2, 3, 7]])
def test_a_test_label_that_no_training_image_has_is_refused_with_its_place(
    tmp_path: Path, test_labels: list[int]
) -> None:
    write_folder(tmp_path, train_labels=[0, 1, 2], test_labels=test_labels)
    message = re.escape("expected test labels 0 to 2, as in training, got 3 (image 2)")
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_training_and_test_images_of_different_sizes_are_refused_with_both(
    tmp_path: Path,
) -> None:
    write_folder(tmp_path, train_labels=[0], test_labels=[0], test_images=some_images(1, 3, 4))
    with pytest.raises(
        InputError, match="expected test images of 3x2 pixels, as in training, got 3x4"
    ):
        read(tmp_path)


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_a_file_without_images_is_refused(tmp_path: Path, part: str) -> None:
    write_folder(
        tmp_path,
        train_labels=[] if part == "train" else [0],
        test_labels=[] if part == "t10k" else [0],
    )
    with pytest.raises(
        InputError, match=f"{part}-images-idx3-ubyte: is empty: 0 x 3 x 2 = 0 values"
    ):
        read(tmp_path)
