"""The time estimate of `belong clean`: the work is counted and multiplied by measured speeds."""

from dataclasses import replace

import pytest

from belong.commands.clean import time_estimate
from belong.commands.clean.judgment import PLANTED
from belong.commands.fit.settings import parameters
from belong.commands.fit.time_estimate import Pace
from belong.data.image_folder import ImageFiles, list_images
from belong.models.backbones.catalog import backbone_named
from belong.models.train_classifier import TrainingOptions
from tests.photo_folders import write_images

NOTHING = Pace(decoding=0.0, embedding=0.0, training=0.0, small=0.0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    """20 files of two classes."""
    names = [f"{name}/{row}.png" for name in ("ant", "bee") for row in range(10)]
    return list_images(write_images(tmp_path_factory.mktemp("photos"), *names))


def seconds(files: ImageFiles, *, has_backbone: bool, folds: int = 5, epochs: int = 7) -> float:
    name = "test_efficientnet" if has_backbone else "small_cnn"
    values = parameters({"train.epochs": epochs})
    return time_estimate.estimate(
        files,
        folds=folds,
        network=name,
        side_px=40,
        training=TrainingOptions(lambda_=0.1, **values.train.model_dump()),
        values=values,
        backbone=backbone_named(name, "none") if has_backbone else None,
    )


@pytest.mark.parametrize(
    ("kind", "has_backbone", "expected"),
    [
        ("decoding", False, 2 * 20),
        ("training", False, 5 * 7 * 16),
        ("embedding", False, 0),
        ("decoding", True, 2 * 20),
        ("embedding", True, 20 + PLANTED),
        ("training", True, 0),
    ],
)
def test_each_kind_of_work_is_counted_as_often_as_it_is_done(
    files: ImageFiles,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    has_backbone: bool,
    expected: float,
) -> None:
    """Of 20 images five folds are fitted to 16 each, in seven passes where a network is trained."""
    monkeypatch.setattr(time_estimate, "pace_of", lambda *_, **__: replace(NOTHING, **{kind: 1.0}))
    monkeypatch.setattr(time_estimate, "_regression", lambda *_: 0.0)
    assert seconds(files, has_backbone=has_backbone) == expected


def test_a_regression_is_fitted_to_each_fold_where_there_is_a_backbone(
    files: ImageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_estimate, "pace_of", lambda *_, **__: NOTHING)
    monkeypatch.setattr(time_estimate, "_regression", lambda d, classes: 1000 * d + classes)
    d = backbone_named("test_efficientnet", "none").card.sizes[-1]
    assert seconds(files, has_backbone=True) == 5 * 16 * (1000 * d + 2)
    assert seconds(files, has_backbone=True, folds=2) == 2 * 10 * (1000 * d + 2)


@pytest.mark.pipeline
def test_the_paces_are_measured_on_the_files_and_on_this_machine(files: ImageFiles) -> None:
    """100,000 passes take longer than any variation of the machine's speed."""
    few, many = (seconds(files, has_backbone=False, epochs=epochs) for epochs in (1, 10**5))
    assert 0 < few < many
    assert seconds(files, has_backbone=True) > 0
