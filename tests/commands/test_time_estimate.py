"""The time estimate of `belong fit`: the work is counted, and the range is printed."""

from dataclasses import replace
from pathlib import Path

import pytest

from belong.commands.fit.plan import Plan
from belong.commands.fit.settings import parameters
from belong.commands.fit.time_estimate import HIGH, LOW, Pace, estimate, in_words
from belong.data.image_folder import list_images
from belong.models.backbones.catalog import backbone_named
from tests.photo_folders import write_images

PLAN = Plan(
    classes=[("ant", 10, 0), ("bee", 10, 0)], network="lenet", side_px=28, why="",
    test_fraction=0.2, calibration_fraction=0.25, batch_size=8, epochs=3,
    learning_rate=0.01, shift_px=0, flip=False, lambda_=1.0, train_images=12,
)  # fmt: skip


def test_each_kind_of_work_is_counted_as_often_as_it_is_done() -> None:
    """Of 20 files 50 images are made; what is not networks is 150,000 passes and 5 an image."""
    decoded = Pace(decoding=1.0, embedding=0.0, training=0.0, small=0.0)
    embedded = Pace(decoding=0.0, embedding=1.0, training=0.0, small=0.0)
    trained = Pace(decoding=0.0, embedding=0.0, training=1.0, small=0.0)
    rest = Pace(decoding=0.0, embedding=0.0, training=0.0, small=1.0)
    counts = [one.of(PLAN, files=20, images=50) for one in (decoded, embedded, trained, rest)]
    assert counts == [20, 50, 36, 150_250]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (40.0, "about 40 s (20 s to 80 s)"),
        (600.0, "about 10 min (5 min to 20 min)"),
        (7200.0, "about 2.0 h (60 min to 4.0 h)"),
    ],
)
def test_the_time_is_said_in_units_that_people_use(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.pipeline
@pytest.mark.parametrize("is_frozen", [False, True])
def test_more_passes_of_the_same_plan_take_longer(tmp_path: Path, is_frozen: bool) -> None:
    """10^9 passes take longer than any variation of the machine's speed."""
    write_images(tmp_path, *(f"{name}/{i}.png" for name in ("ant", "bee") for i in range(10)))
    listing = list_images(tmp_path)
    settings: dict[str, object] = {"train.embedding": 4, "derive.images": 10}
    plan = PLAN
    if is_frozen:
        plan = replace(PLAN, network="test_efficientnet", side_px=40)
        settings |= {"backbone.weights": "a file", "backbone.frozen": True}
    values = parameters(settings | {"network": plan.network})
    backbone = backbone_named(plan.network, "none") if is_frozen else None
    seconds = [estimate(listing, replace(plan, epochs=n), values, backbone) for n in (1, 10**9)]
    assert 0 < LOW * seconds[0] < seconds[0] < HIGH * seconds[0] < LOW * seconds[1]
