"""What is chosen for a person's own folder, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from belong.class_folders import list_images
from belong.datasets import DataSet
from belong.errors import InputError
from belong.plan import Plan, plan, typical_side


def images(*counts: int, side: int = 28, tests: int = 0) -> DataSet:
    """Return as many training images of each class as `counts` says, and `tests` of each."""
    each = [count + tests for count in counts]
    return DataSet(
        images=np.zeros((sum(each), 1, side, side), np.uint8),
        labels=np.repeat(np.arange(len(counts)), each),
        class_names=tuple(f"c{i}" for i in range(len(counts))),
        is_test=np.concatenate(
            [np.arange(n) >= count for n, count in zip(each, counts, strict=True)]
        ),
        sources=np.array([""] * sum(each)),
    )


def planned(found: DataSet, *, alpha: float = 0.025, has_weights: bool = False) -> Plan:
    return plan(
        found,
        alpha=alpha,
        has_weights=has_weights,
        test_fraction=0.2,
        calibration_fraction=0.1,
        batch_size=128,
        epochs=12,
    )


def test_many_images_keep_the_passes_and_the_share_that_are_asked_for() -> None:
    made = planned(images(30_000, 30_000, tests=5000))
    assert (made.epochs, made.batch_size, made.calibration_fraction) == (12, 128, 0.1)
    assert made.train_images == 54_000
    assert made.classes == [("c0", 30_000, 5000), ("c1", 30_000, 5000)]


def test_a_fifth_of_each_class_is_the_test_where_there_is_none() -> None:
    made = planned(images(1000, 500))
    assert made.train_images == 1200 - 120


def test_few_images_are_passed_often_enough_for_two_thousand_steps() -> None:
    made = planned(images(300, 300))
    assert made.batch_size < 128
    steps = made.epochs * made.train_images / made.batch_size
    assert 2000 <= steps <= 2000 + made.train_images / made.batch_size


@pytest.mark.parametrize("alpha", [0.025, 0.05, 0.2])
def test_enough_images_calibrate_half_of_combined_at_alpha(alpha: float) -> None:
    made = planned(images(200, 200), alpha=alpha)
    held_out = round(made.calibration_fraction * 320)
    assert held_out // 2 >= 1 / alpha - 1


@pytest.mark.parametrize(
    ("found", "alpha", "message"),
    [
        (images(500), 0.025, "the images have one class, c0; wanted at least 2"),
        (images(500, 4), 0.025, "class c1 has 4 training image.s.; wanted at least 5"),
        (images(50, 50), 0.025, "alpha 0.025 wants 82 images to calibrate, and as many to train; "
                                "there are 80 in all"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(found: DataSet, alpha: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(found, alpha=alpha)


@pytest.mark.parametrize(
    ("side", "has_weights", "network", "side_px"),
    [
        (28, False, "lenet", 28),
        (16, False, "lenet", 28),
        (64, False, "lenet", 64),
        (300, False, "lenet", 64),
        (300, True, "efficientnet_b0", 224),
    ],
)
def test_the_network_goes_by_the_size_and_by_whether_there_are_weights(
    side: int, has_weights: bool, network: str, side_px: int
) -> None:
    made = planned(images(200, 200, side=side), has_weights=has_weights)
    assert (made.network, made.side_px) == (network, side_px)


def test_the_typical_side_is_the_median_of_the_shorter_sides(tmp_path: Path) -> None:
    for at, size in enumerate([(20, 40), (90, 50), (70, 70)]):
        folder = tmp_path / f"class{at}"
        folder.mkdir()
        Image.new("L", size).save(folder / "one.png")
    (tmp_path / "class0" / "text.png").write_text("no image")
    assert typical_side(list_images(tmp_path)) == 50
