"""Every image is in one part, and no image is tested by a model that has seen it."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belong.data.dataset import DataSet, without
from belong.data.resize import Form, all_formed
from belong.data.splits import PARTS, assign
from belong.runtime.errors import InputError

NAMES = ("ant", "bee", "cat")


def data_set(
    train: Iterable[int], test: Iterable[int], *, labels: list[int] | None = None
) -> DataSet:
    """Return a data set whose images are numbers: equal numbers, equal images.

    The labels, training images first, run 0, 1, 2, 0, ... if they are not given.
    """
    train, test = list(train), list(test)
    numbers = np.array(train + test, dtype=np.uint32)
    label_array = np.arange(len(numbers)) % 3 if labels is None else np.array(labels)
    return DataSet(
        images=numbers.view(np.uint8).reshape(-1, 1, 2, 2),
        labels=label_array,
        class_names=NAMES,
        is_test=np.repeat([False, True], [len(train), len(test)]),
        sources=np.array([f"file/{i}" for i in range(len(numbers))]),
    )


def parts_of(
    normal: DataSet,
    anomaly: DataSet,
    further: dict[str, DataSet] | None = None,
    *,
    fraction: float = 0.1,
    seed: int = 0,
    most: int = 1000,
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return assign(
        normal,
        anomaly,
        further or {},
        form=Form.of(normal.images),
        calibration_fraction=fraction,
        further_images=most,
        rng=rng,
    )


def part_and_reason(manifest: pd.DataFrame, row: int, *, is_anomaly: bool) -> tuple[str, str]:
    rows = manifest[(manifest["row"] == row) & (manifest["is_anomaly"] == is_anomaly)]
    return str(rows["part"].item()), str(rows["reason"].item())


# 90 training and 30 test images of three classes; 40 and 20 anomalies; no image twice.
NORMAL = data_set(range(90), range(90, 120))
ANOMALY = data_set(range(200, 240), range(240, 260))


def test_images_without_repeats_go_where_their_official_split_and_the_fraction_say() -> None:
    manifest = parts_of(NORMAL, ANOMALY, fraction=0.2)
    assert manifest["part"].value_counts().to_dict() == {
        "normal/train": 72,
        "normal/calibration": 18,
        "normal/test": 30,
        "anomaly/head": 40,
        "anomaly/test": 20,
    }
    for part, is_anomaly, rows in (
        ("normal/test", False, range(90, 120)),
        ("anomaly/head", True, range(40)),
        ("anomaly/test", True, range(40, 60)),
    ):
        table = manifest[manifest["part"] == part]
        assert table["row"].tolist() == list(rows)
        assert set(table["is_anomaly"]) == {is_anomaly}


@pytest.mark.parametrize(
    ("fraction", "held_out"),
    # Of 40, 10 and 4 training images; rounded, and at least one.
    [(0.1, (4, 1, 1)), (0.25, (10, 2, 1)), (0.5, (20, 5, 2))],
)
def test_the_same_fraction_of_every_class_is_held_out(
    fraction: float, held_out: tuple[int, int, int]
) -> None:
    labels = [0] * 40 + [1] * 10 + [2] * 4
    normal = data_set(range(54), range(90, 96), labels=labels + [0, 1, 2] * 2)
    manifest = parts_of(normal, ANOMALY, fraction=fraction)
    counts = manifest[manifest["part"] == "normal/calibration"]["class_name"].value_counts()
    assert tuple(counts[name] for name in NAMES) == held_out


def test_the_manifest_has_the_class_the_source_and_the_hash_of_each_image() -> None:
    manifest = parts_of(NORMAL, ANOMALY)
    for row in manifest.itertuples():
        data = ANOMALY if row.is_anomaly else NORMAL
        number = int(str(row.row))
        assert row.class_name == NAMES[number % 3]
        assert row.label == (-1 if row.is_anomaly else number % 3)
        assert row.source == f"file/{number}"
        assert row.sha256 == hashlib.sha256(data.images[number].tobytes()).hexdigest()


def test_rows_are_sorted_by_part_and_then_by_their_place_in_the_data_set() -> None:
    manifest = parts_of(NORMAL, data_set([0, 1, *range(200, 240)], [2, *range(240, 260)]))
    order = [*PARTS, "dropped"]
    places = [
        (order.index(part), row)
        for part, row in zip(manifest["part"], manifest["row"], strict=True)
    ]
    assert places == sorted(places)


# The normal images hold 0..89 for training and 90..119 for the test.
@pytest.mark.parametrize(
    ("normal", "anomaly", "row", "is_anomaly", "kept_in"),
    [
        # The training image 7 once more among the test images: the training one goes.
        (data_set(range(90), [*range(90, 119), 7]), ANOMALY, 7, False, "normal/test"),
        (NORMAL, data_set([*range(200, 239), 95], range(240, 260)), 39, True, "normal/test"),
        (NORMAL, data_set(range(200, 240), [*range(240, 259), 95]), 59, True, "normal/test"),
        (NORMAL, data_set([*range(200, 239), 250], range(240, 260)), 39, True, "anomaly/test"),
    ],
    ids=["train-test", "head-test", "anomaly test-test", "head-anomaly test"],
)
def test_an_image_that_is_in_two_parts_is_dropped_from_the_later_one_with_the_reason(
    normal: DataSet, anomaly: DataSet, row: int, is_anomaly: bool, kept_in: str
) -> None:
    manifest = parts_of(normal, anomaly)
    part_and_why = part_and_reason(manifest, row, is_anomaly=is_anomaly)
    assert part_and_why == ("dropped", f"the same image is in {kept_in}")
    assert manifest["reason"].value_counts().to_dict() == {
        "": len(normal.images) + len(anomaly.images) - 1,
        f"the same image is in {kept_in}": 1,
    }


def test_an_anomaly_that_is_also_a_normal_training_image_is_dropped() -> None:
    anomaly = data_set([*range(200, 239), 7], [*range(240, 259), 8])
    manifest = parts_of(NORMAL, anomaly)
    for row, number in ((39, 7), (59, 8)):
        kept_in, _ = part_and_reason(manifest, number, is_anomaly=False)
        assert kept_in in ("normal/train", "normal/calibration")
        dropped = part_and_reason(manifest, row, is_anomaly=True)
        assert dropped == ("dropped", f"the same image is in {kept_in}")


def test_equal_training_images_are_drawn_from_once() -> None:
    # 0..59 twice, both copies in the same class.
    normal = data_set([*range(60)] * 2, range(90, 120))
    manifest = parts_of(normal, ANOMALY, fraction=0.5)
    hashes = manifest.groupby("part")["sha256"].agg(set)
    assert not hashes["normal/train"] & hashes["normal/calibration"]
    assert sorted(manifest[manifest["part"] == "dropped"]["row"]) == list(range(60, 120))
    assert (manifest["part"] == "normal/calibration").sum() == 30


def test_equal_images_of_an_official_test_all_stay() -> None:
    normal = data_set(range(90), [*range(90, 118), 90, 91])
    manifest = parts_of(normal, ANOMALY)
    assert (manifest["part"] == "normal/test").sum() == 30
    assert "dropped" not in set(manifest["part"])


numbers = st.lists(st.integers(0, 80), min_size=0, max_size=30)


@pytest.mark.pipeline
@given(numbers, numbers, numbers, numbers, st.integers(0, 9))
def test_no_image_is_in_two_parts_and_every_image_is_in_the_manifest_once(
    train: list[int], test: list[int], head: list[int], anomalies: list[int], seed: int
) -> None:
    # Beside the drawn numbers, enough images of their own for every class.
    normal = data_set([*range(100, 130), *train], [*range(130, 136), *test])
    anomaly = data_set(head, [*range(200, 203), *anomalies])
    manifest = parts_of(normal, anomaly, fraction=0.3, seed=seed)

    parts = manifest[manifest["part"] != "dropped"]
    assert parts.groupby("sha256")["part"].nunique().max() == 1
    # Of each image one copy stays, but of those that stand in two classes of the training.
    mixed = manifest["reason"].str.contains(" and ")
    every = set(manifest["sha256"][~mixed])
    assert set(parts["sha256"]) == every
    places = sorted(zip(manifest["is_anomaly"], manifest["row"], strict=True))
    assert places == [(False, row) for row in range(len(normal.images))] + [
        (True, row) for row in range(len(anomaly.images))
    ]


def test_the_same_seed_gives_the_same_manifest() -> None:
    pd.testing.assert_frame_equal(
        parts_of(NORMAL, ANOMALY, seed=3), parts_of(NORMAL, ANOMALY, seed=3)
    )


def test_another_seed_holds_out_other_images_and_moves_no_test_image() -> None:
    first, second = (
        parts_of(NORMAL, ANOMALY, seed=seed).groupby("part")["row"].agg(list) for seed in (0, 1)
    )
    assert first["normal/calibration"] != second["normal/calibration"]
    for part in ("normal/test", "anomaly/test", "anomaly/head"):
        assert first[part] == second[part]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        # Of two training images one is held out; of three, two are left: just enough.
        (
            [3, 2, 3],
            [1, 1, 1],
            "class bee of the normal images: expected at least 2 in normal/train, got 1",
        ),
        (
            [3, 3, 1],
            [1, 1, 1],
            "class cat of the normal images: expected at least 2 in normal/train, got 0",
        ),
        (
            [3, 3, 3],
            [1, 0, 1],
            "class bee of the normal images: expected at least 1 in normal/test, got 0",
        ),
    ],
)
def test_a_class_with_too_few_images_is_refused_by_name(
    train: list[int], test: list[int], message: str
) -> None:
    labels = [label for counts in (train, test) for label in np.repeat(range(3), counts)]
    normal = data_set(range(sum(train)), range(90, 90 + sum(test)), labels=labels)
    with pytest.raises(InputError, match=message):
        parts_of(normal, ANOMALY)


def test_three_training_images_and_one_test_image_of_a_class_are_enough() -> None:
    manifest = parts_of(data_set(range(9), range(90, 93)), ANOMALY)
    for name in NAMES:
        of_class = manifest[(manifest["class_name"] == name) & ~manifest["is_anomaly"]]
        assert of_class["part"].value_counts().to_dict() == {
            "normal/train": 2,
            "normal/calibration": 1,
            "normal/test": 1,
        }


def test_anomalies_that_are_all_normal_images_are_dropped() -> None:
    manifest = parts_of(NORMAL, data_set(range(20), range(90, 110)))
    assert set(manifest.loc[manifest["is_anomaly"], "part"]) == {"dropped"}


def test_further_anomalies_are_only_for_the_test_and_of_an_official_test_part_only_that() -> None:
    further = {
        "left_out": data_set(range(300, 320), range(320, 325)),
        "unseen": data_set(range(400, 403), []),
    }
    manifest = parts_of(NORMAL, ANOMALY, further)
    for name, rows in (("left_out", range(20, 25)), ("unseen", range(3))):
        table = manifest[manifest["part"] == f"{name}/test"]
        assert table["row"].tolist() == list(rows)
        assert table["is_anomaly"].all()
    assert len(manifest) == 120 + 60 + 5 + 3


def test_of_a_further_set_at_most_so_many_are_drawn_and_the_other_parts_stay_as_they_are() -> None:
    further = {"unseen": data_set(range(400, 450), [])}
    few, all_of_them = (parts_of(NORMAL, ANOMALY, further, most=most) for most in (7, 1000))
    assert (few["part"] == "unseen/test").sum() == 7
    first, second = (table[table["part"] != "unseen/test"] for table in (few, all_of_them))
    pd.testing.assert_frame_equal(first, second)


def test_a_further_anomaly_that_trains_the_head_is_dropped() -> None:
    further = {"unseen": data_set([239, 500], [])}
    manifest = parts_of(NORMAL, ANOMALY, further)
    (repeat,) = manifest[manifest["part"] == "dropped"].to_dict("records")
    assert repeat["reason"] == "the same image is in anomaly/head"
    assert (manifest["part"] == "unseen/test").sum() == 1


def test_a_run_without_anomalies_has_only_normal_parts() -> None:
    none = without(ANOMALY, NAMES)
    assert set(parts_of(NORMAL, none)["part"]) == {
        "normal/train", "normal/calibration", "normal/test"
    }  # fmt: skip


def test_a_class_that_is_left_with_too_few_images_after_the_repeats_is_refused() -> None:
    # The test repeats all but one of the training images of class ant (0, 3, 6, ...).
    ants = list(range(0, 87, 3))
    normal = data_set(
        range(90), [*ants, 91, 92], labels=[*np.arange(90) % 3, *[0] * len(ants), 1, 2]
    )
    with pytest.raises(
        InputError, match="ant of the normal images: expected at least 2 in normal/"
    ):
        parts_of(normal, ANOMALY)


def test_where_a_class_is_refused_it_is_said_how_many_of_it_stand_in_two_classes() -> None:
    # Of class ant all but one of the training images (0, 3, 6, ...) stand in bee too, one twice.
    ants = list(range(0, 87, 3))
    labels = [*np.arange(90) % 3, *[1] * len(ants), 0, 1, 2, 0]
    normal = data_set([*range(90), *ants], [90, 91, 92, 87], labels=labels)
    with pytest.raises(
        InputError,
        match=r"ant of the normal images: expected at least 2 in normal/train, got 0; 29 excluded, "
        r"as they occur in two classes; 1 excluded as duplicates$",
    ):
        parts_of(normal, ANOMALY)


def test_of_images_that_are_alike_in_one_class_the_first_is_kept_and_the_others_are_named() -> None:
    # The first three training images of class ant (0, 3, 6) once more, at the end.
    manifest = parts_of(data_set([*range(90), 0, 3, 6], range(90, 120), labels=COPIED), ANOMALY)
    dropped = manifest[manifest["part"] == "dropped"].sort_values("row")
    assert dropped["row"].tolist() == [90, 91, 92]
    assert dropped["reason"].tolist() == [f"the same image as file/{i}" for i in (0, 3, 6)]


COPIED = [i % 3 for i in range(90)] + [0, 0, 0] + [i % 3 for i in range(30)]


def test_a_training_image_that_the_test_has_too_is_dropped_from_the_training() -> None:
    manifest = parts_of(
        data_set([*range(90), 90], range(90, 120), labels=COPIED[:91] + COPIED[93:]), ANOMALY
    )
    (repeat,) = manifest[manifest["part"] == "dropped"].to_dict("records")
    assert (repeat["row"], repeat["reason"]) == (90, "the same image is in normal/test")


def test_an_image_that_stands_in_two_classes_is_left_out_of_both() -> None:
    labels = [i % 3 for i in range(90)] + [1] + [i % 3 for i in range(30)]
    manifest = parts_of(data_set([*range(90), 0], range(90, 120), labels=labels), ANOMALY)
    dropped = manifest[manifest["part"] == "dropped"]
    assert sorted(dropped["row"]) == [0, 90]
    assert set(dropped["reason"]) == {"the same image is in ant and bee"}


def test_copies_do_not_change_how_likely_an_image_is_to_be_held_out() -> None:
    """Half of the images occur ten times: an image counts once, whatever its copies."""
    numbers = [*range(300), *(i for i in range(0, 300, 2) for _ in range(9))]
    labels = [i % 3 for i in [*numbers, *range(300, 330)]]
    data = data_set(numbers, range(300, 330), labels=labels)
    shares = []
    for seed in range(20):
        manifest = parts_of(data, ANOMALY, seed=seed)
        held_out = manifest[manifest["part"] == "normal/calibration"]
        shares.append((held_out["row"] % 2 == 0).mean())
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_images_that_are_alike_only_in_the_form_of_the_normal_ones_are_one_image() -> None:
    """An IDX image that is enlarged, and the same one, enlarged before."""
    small = data_set(range(500, 503), range(503, 506))
    form = Form(8, 8, "grey")
    large = replace(NORMAL, images=all_formed(NORMAL.images, form))
    same = replace(small, images=np.concatenate((small.images[:-1], NORMAL.images[:1])))
    manifest = assign(
        large, same, {}, form=form, calibration_fraction=0.1, further_images=9,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    (repeat,) = manifest[manifest["part"] == "dropped"].to_dict("records")
    assert repeat["row"] == 5
    assert repeat["reason"].startswith("the same image is in normal/")
