"""The settings that `belong fit` chooses for a folder, and its errors."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from belong.calibration.sample_size import least_held_out
from belong.commands.fit.plan import Plan, affordable_alpha, plan, typical_side
from belong.commands.fit.settings import parameters
from belong.data.dataset import DataSet, with_test_part
from belong.data.image_folder import list_images
from belong.data.resize import Form
from belong.data.splits import assign
from belong.models.backbones.card import BackboneCard
from belong.models.backbones.catalog import card_of
from belong.runtime.errors import InputError

LITE0 = BackboneCard(
    name="efficientnet_lite0", architecture="tf_efficientnet_lite0", mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5), side_px=224, has_fixed_side=False, sizes=(24, 112, 1280),
    weights="a package", license="Apache-2.0",
)  # fmt: skip


def images(*counts: int, side: int = 28, channels: int = 1, tests: int = 0) -> DataSet:
    """Return `counts` training images of the classes, and `tests` test images of each class."""
    each = [count + tests for count in counts]
    return DataSet(
        images=np.zeros((sum(each), channels, side, side), np.uint8),
        labels=np.repeat(np.arange(len(counts)), each),
        class_names=tuple(f"c{i}" for i in range(len(counts))),
        is_test=np.concatenate(
            [np.arange(n) >= count for n, count in zip(each, counts, strict=True)]
        ),
        sources=np.array([""] * sum(each)),
    )


def plan_for(
    data: DataSet,
    *,
    alpha: float = 0.025,
    backbone: BackboneCard | None = None,
    settings: Mapping[str, object] | None = None,
) -> Plan:
    """Plan with the defaults: 12 passes of 128 images at 0.05; a fifth tests."""
    values = parameters(settings or {})
    return plan(
        data,
        alpha=alpha,
        backbone=backbone,
        split=values.split,
        train=values.train,
        lambda_=values.lambda_,
        settings=settings or {},
    )


def test_many_images_keep_the_passes_and_the_share_that_are_asked_for() -> None:
    job_plan = plan_for(images(30_000, 30_000, tests=5000))
    assert (job_plan.epochs, job_plan.batch_size, job_plan.calibration_fraction) == (12, 128, 0.1)
    assert job_plan.train_images == 54_000
    assert job_plan.classes == [("c0", 30_000, 5000), ("c1", 30_000, 5000)]


def test_a_fifth_of_each_class_is_the_test_where_there_is_none() -> None:
    job_plan = plan_for(images(1000, 500))
    assert job_plan.train_images == 1200 - 120


@pytest.mark.parametrize("alpha", [0.025, 0.05, 0.2])
@pytest.mark.parametrize(
    "sizes", [(31,) * 33, (7,) * 60, (5, 400), (25, 105), (200, 7, 7, 7, 7)], ids=str
)
def test_the_images_are_divided_as_planned(sizes: tuple[int, ...], alpha: float) -> None:
    data = images(*sizes)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, data.images.shape, np.uint8)
    data = replace(data, images=pixels, sources=np.arange(len(pixels)).astype(str))
    try:
        job_plan = plan_for(data, alpha=alpha)
    except InputError:
        assert sum(sizes) * 0.8 < 2.5 * least_held_out(alpha)
        return
    none = replace(data, images=pixels[:0], labels=data.labels[:0], is_test=data.is_test[:0],
                   sources=data.sources[:0])  # fmt: skip
    parts = assign(
        with_test_part(data, fraction=job_plan.test_fraction, rng=rng), none, {},
        form=Form.of(pixels), calibration_fraction=job_plan.calibration_fraction, further_images=0,
        rng=rng,
    )["part"]  # fmt: skip
    assert (parts == "normal/train").sum() == job_plan.train_images
    assert (parts == "normal/calibration").sum() >= least_held_out(alpha)


def test_three_images_of_each_of_33_classes_calibrate() -> None:
    """6 are for the test; a tenth of 25 is 2.5, rounded to 2: 66 images, but 78 are needed."""
    job_plan = plan_for(images(*(31,) * 33))
    assert job_plan.train_images == 33 * 22
    assert job_plan.calibration_fraction == pytest.approx(0.1001)


def test_few_images_are_passed_often_enough_for_two_thousand_steps() -> None:
    job_plan = plan_for(images(300, 300))
    assert job_plan.batch_size < 128
    steps = job_plan.epochs * job_plan.train_images / job_plan.batch_size
    assert 2000 <= steps <= 2000 + job_plan.train_images / job_plan.batch_size


def test_the_rate_is_as_much_smaller_as_the_batches_are() -> None:
    """Of 250 + 250 images 400 are no test, and 82 of them calibrate: 318 give batches of 31."""
    job_plan = plan_for(images(250, 250))
    assert job_plan.batch_size == job_plan.train_images // 10 == 31
    assert job_plan.learning_rate == pytest.approx(0.05 * 31 / 128)
    assert plan_for(images(30_000, 30_000)).learning_rate == 0.05


def test_photos_from_scratch_are_moved_and_mirrored_and_small_images_are_not() -> None:
    photos, digits = (plan_for(images(200, 200, side=side)) for side in (300, 28))
    assert (photos.shift_px, photos.flip, photos.lambda_) == (4, True, 0.1)
    as_it_comes = parameters({}).lambda_
    assert (digits.shift_px, digits.flip, digits.lambda_) == (0, False, as_it_comes)
    with_weights = plan_for(images(200, 200, side=300), backbone=LITE0)
    assert (with_weights.shift_px, with_weights.flip) == (0, False)


def test_settings_of_the_user_are_not_changed() -> None:
    settings = {
        "train.learning_rate": 0.3, "train.flip": False, "train.shift_px": 1, "train.epochs": 2,
        "lambda": 0.5,
    }  # fmt: skip
    job_plan = plan_for(images(200, 200, side=300), settings=settings)
    assert (job_plan.learning_rate, job_plan.flip, job_plan.shift_px, job_plan.epochs) == (
        0.3,
        False,
        1,
        2,
    )
    assert job_plan.lambda_ == 0.5
    job_plan = plan_for(images(200, 200), settings={"train.batch_size": 64})
    assert (job_plan.batch_size, job_plan.learning_rate) == (64, 0.025)
    job_plan = plan_for(images(200, 200, side=300), settings={"network": "lenet"})
    assert (job_plan.network, job_plan.flip) == ("lenet", False)


@pytest.mark.parametrize("alpha", [0.025, 0.05, 0.2])
def test_enough_images_calibrate_half_of_combined_at_alpha(alpha: float) -> None:
    job_plan = plan_for(images(200, 200), alpha=alpha)
    held_out = round(job_plan.calibration_fraction * 320)
    assert held_out // 2 >= 1 / alpha - 1


@pytest.mark.parametrize(
    ("of_each", "alpha"),
    [(200, 0.025), (102, 0.025), (101, 0.05), (52, 0.05), (51, 0.1), (25, 0.025)],
)
def test_alpha_is_the_least_that_half_of_the_images_beside_the_test_calibrate(
    of_each: int, alpha: float
) -> None:
    """82 calibrate 2.5%, 42 calibrate 5%, 24 calibrate 10%; of no alpha fewer are enough."""
    data = images(of_each, of_each)
    assert affordable_alpha(data, 0.025, parameters({}).split) == alpha


def test_one_class_is_planned_like_several_and_nothing_is_trained() -> None:
    one = plan_for(images(500))
    assert one.classes == [("c0", 500, 0)]
    assert one.calibration_fraction == 0.4  # 160 of the 400 beside the test
    assert "is trained from scratch" in one.why
    assert "an autoencoder" in one.why


@pytest.mark.parametrize(
    ("data", "alpha", "message"),
    [
        (images(500, 4), 0.025, "class c1 has 4 training images; expected at least 5"),
        (images(50, 50), 0.025, "alpha 0.025: expected at least 82 images to calibrate and as many "
                                "to train, got 80 besides the test images; use a larger alpha or "
                                "more images"),
        (images(25, 25), 0.2, "alpha 0.2: expected at least 24 images to calibrate and as many to "
                              "train, got 40 besides the test images; use more images"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(data: DataSet, alpha: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_for(data, alpha=alpha)


@pytest.mark.parametrize(
    ("side", "channels", "backbone", "network", "side_px"),
    [
        (28, 1, None, "lenet", 28),
        (16, 1, None, "lenet", 28),
        (64, 1, None, "lenet", 64),
        (28, 3, None, "small_cnn", 32),
        (64, 3, None, "small_cnn", 64),
        (300, 1, None, "small_cnn", 64),
        (300, 3, LITE0, "efficientnet_lite0", 224),
        (28, 1, card_of("efficientnet_lite2", "a file"), "efficientnet_lite2", 260),
        (300, 3, card_of("test_vit", "a file"), "test_vit", 160),
    ],
)
def test_the_network_goes_by_the_size_the_colors_and_the_backbone(
    side: int, channels: int, backbone: BackboneCard | None, network: str, side_px: int
) -> None:
    job_plan = plan_for(images(200, 200, side=side, channels=channels), backbone=backbone)
    assert (job_plan.network, job_plan.side_px) == (network, side_px)


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ("apache-2.0", "(license apache-2.0)"),
        ("", "(license not stated)"),
        ("cc-by-nc-4.0", "(license cc-by-nc-4.0, which forbids commercial use)"),
        ("fair-noncommercial-research-license", "which forbids commercial use)"),
        ("apple-amlr", "(license apple-amlr, which forbids commercial use)"),
        ("bsd-3-clause", "(license bsd-3-clause)"),
    ],
)
def test_the_license_of_the_weights_is_said_and_whether_it_forbids_commercial_use(
    terms: str, sentence: str
) -> None:
    backbone = card_of("test_efficientnet", "a file", terms)
    assert sentence in plan_for(images(200, 200), backbone=backbone).why


def test_the_typical_side_is_the_median_of_the_shorter_sides(tmp_path: Path) -> None:
    for at, size in enumerate([(20, 40), (90, 50), (70, 70)]):
        folder = tmp_path / f"class{at}"
        folder.mkdir()
        Image.new("L", size).save(folder / "one.png")
    (tmp_path / "class0" / "text.png").write_text("no image")
    assert typical_side(list_images(tmp_path)) == 50
