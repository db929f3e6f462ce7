"""Data sets: the choice of their classes, and of test images where there are none."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from belong.data.dataset import DataSet, select_classes, with_test_part, without
from belong.runtime.errors import InputError

HERE = Path("some/folder")


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


@pytest.mark.parametrize(
    ("classes", "names"),
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
def test_the_chosen_classes_are_kept_and_renumbered(
    classes: str | int | list[str | int], names: str
) -> None:
    data = select_classes(ten_classes(), classes, HERE)
    digits = [int(digit) for digit in names]
    # Digit k has the images 2k (training) and 2k + 1 (test), whose pixel is their number.
    rows = [row for digit in digits for row in (2 * digit, 2 * digit + 1)]
    assert data.class_names == tuple(names)
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
    selection = select_classes(shuffled, "3-6", HERE)
    expected = [image for image in order.tolist() if 6 <= image < 14]
    assert selection.images.flatten().tolist() == expected
    assert selection.labels.tolist() == [image // 2 - 3 for image in expected]


@pytest.mark.parametrize(
    ("classes", "expected"),
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
    classes: str | int | list[str | int], expected: list[str]
) -> None:
    names = ("ant", "bee", "cat", "7", "dog")
    data = DataSet(
        images=np.zeros((5, 1, 1, 1), np.uint8),
        labels=np.arange(5),
        class_names=names,
        is_test=np.zeros(5, bool),
        sources=np.array(list("abcde")),
    )
    assert select_classes(data, classes, HERE).class_names == tuple(expected)


ALL_NAMES = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("shoe", f"expected one of the 10 classes {ALL_NAMES}, got shoe"),
        (10, f"expected one of the 10 classes {ALL_NAMES}, got 10"),
        ([3, -1], f"expected one of the 10 classes {ALL_NAMES}, got -1"),
        (
            "5-12",
            f"classes: expected a range from 0 to 9, got 5-12; the 10 classes are {ALL_NAMES}",
        ),
        ("", f"expected one of the 10 classes {ALL_NAMES}, got "),
        ([3, 4, 3], "classes: expected each class once, got 3 twice"),
        ([3, "3"], "classes: expected each class once, got 3 twice"),
        ([], "classes: expected all, a list, or a range such as 0-9, got an empty list"),
        ("7-3", "classes: expected a rising range, got 7-3"),
        ("4-3", "classes: expected a rising range, got 4-3"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(
    classes: str | int | list[str | int], message: str
) -> None:
    with pytest.raises(InputError, match=f"^{HERE}: {message}$"):
        select_classes(ten_classes(), classes, HERE)


def test_a_range_with_a_slip_of_the_finger_is_refused() -> None:
    with pytest.raises(InputError, match="expected a range from 0 to 9, got 0-3"):
        select_classes(ten_classes(), "0-3000000000000000000", HERE)


def test_of_more_than_twelve_classes_a_message_names_five_and_the_last_three() -> None:
    data = DataSet(
        images=np.zeros((13, 1, 1, 1), np.uint8),
        labels=np.arange(13),
        class_names=tuple("abcdefghijklm"),
        is_test=np.zeros(13, bool),
        sources=np.array(list("abcdefghijklm")),
    )
    with pytest.raises(
        InputError, match=r"one of the 13 classes a, b, c, d, e, \.\.\., k, l, m, got x$"
    ):
        select_classes(data, "x", HERE)


def without_test(*counts: int) -> DataSet:
    """Return a data set with so many images of each class, none of them for the test."""
    n = sum(counts)
    return DataSet(
        images=np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1),
        labels=np.repeat(np.arange(len(counts)), counts),
        class_names=tuple("abcdefghij"[: len(counts)]),
        is_test=np.zeros(n, bool),
        sources=np.array([f"file/{row}" for row in range(n)]),
    )


@pytest.mark.parametrize(
    ("fraction", "test_counts"),
    # Of 40, 10 and 3 images; rounded, and at least one.
    [(0.2, [8, 2, 1]), (0.5, [20, 5, 2]), (0.01, [1, 1, 1])],
)
def test_the_same_fraction_of_every_class_becomes_the_test(
    fraction: float, test_counts: list[int]
) -> None:
    data = with_test_part(without_test(40, 10, 3), fraction=fraction, rng=np.random.default_rng(0))
    assert np.bincount(data.labels[data.is_test]).tolist() == test_counts


def test_only_another_seed_draws_other_test_images() -> None:
    first, second, other = (
        with_test_part(without_test(40, 40), fraction=0.2, rng=np.random.default_rng(seed))
        .is_test.nonzero()[0]
        .tolist()
        for seed in (0, 0, 1)
    )
    assert first == second
    assert first != other


def test_a_data_set_with_official_test_images_keeps_them_and_draws_none() -> None:
    rng = np.random.default_rng(0)
    data = ten_classes()
    assert with_test_part(data, fraction=0.2, rng=rng) is data
    assert rng.random() == np.random.default_rng(0).random()


def test_none_chooses_no_image() -> None:
    data = select_classes(ten_classes(), "none", HERE)
    assert (len(data.images), data.class_names) == (0, ())


def test_a_class_that_is_called_as_a_keyword_is_chosen_by_a_list() -> None:
    names = ("all", "none", *"23456789")
    data = replace(ten_classes(), class_names=names)
    assert select_classes(data, "none", HERE).class_names == ()
    assert select_classes(data, "all", HERE).class_names == names
    assert select_classes(data, ["none"], HERE).class_names == ("none",)
    assert select_classes(data, ["all"], HERE).class_names == ("all",)


def test_a_name_that_yaml_takes_for_a_number_is_never_another_class() -> None:
    data = replace(ten_classes(), class_names=tuple(f"{n:02}" for n in range(1, 11)))
    assert select_classes(data, ["01", "02"], HERE).class_names == ("01", "02")
    with pytest.raises(InputError, match="class 1 is ambiguous: the name 01, which YAML reads"):
        select_classes(data, 1, HERE)


@pytest.mark.parametrize("name", ["0_1", "0x1", "0b1", "0o1", "+1", "01", "1_0", "0x0A"])
def test_a_number_that_is_also_the_reading_of_a_name_is_ambiguous(name: str) -> None:
    data = replace(ten_classes(), class_names=("a", "b", name, *"cdefghi"))
    number = YAML(typ="safe", pure=True).load(f"classes: {name}")["classes"]
    with pytest.raises(
        InputError, match=f"class {number} is ambiguous: the name {re.escape(name)}"
    ):
        select_classes(data, number, HERE)
    assert select_classes(data, name, HERE).class_names == (name,)


def test_without_some_classes_the_others_are_kept_and_renumbered() -> None:
    data = without(ten_classes(), {"0", "1", "2", "4", "9", "no such class"})
    assert data.class_names == ("3", "5", "6", "7", "8")
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert data.images.flatten().tolist() == [6, 7, 10, 11, 12, 13, 14, 15, 16, 17]


def test_a_range_is_of_positions_whatever_the_names() -> None:
    data = replace(ten_classes(), class_names=("1", "10", "2", "3", "4", "5", "6", "7", "8", "9"))
    assert select_classes(data, "0-2", HERE).class_names == ("1", "10", "2")
    assert select_classes(data, [1, 2], HERE).class_names == ("1", "2")
