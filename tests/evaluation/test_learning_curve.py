"""The learning curve: by hand for errors of a known law, and on random vectors."""

import numpy as np
import pytest

from belong.commands.fit.settings import parameters
from belong.evaluation.learning_curve import LearningCurve, LearningPoint, gain_of_doubling
from belong.evaluation.subset_training import first_of_each_class, learning_curve
from belong.models.train_classifier import TrainingOptions

MANY = 10**7  # images held out: the half an image that counts as wrong is nothing beside them


def options() -> TrainingOptions:
    return TrainingOptions(lambda_=0.1, **parameters({}).train.model_dump())


def test_where_errors_halve_with_every_doubling_the_next_one_halves_them_again() -> None:
    sizes = np.array([4.0, 8.0, 16.0])
    assert gain_of_doubling(sizes, [0.6, 0.8, 0.9], 16, MANY) == pytest.approx(0.05, abs=1e-5)
    # From 32 images on, the error is 0.05, and falls to 0.025.
    assert gain_of_doubling(sizes, [0.6, 0.8, 0.9], 32, MANY) == pytest.approx(0.025, abs=1e-5)


@pytest.mark.parametrize("rates", [[0.9, 0.9, 0.9], [0.95, 0.9, 0.85], [1.0, 1.0, 1.0]])
def test_where_more_images_do_not_help_nothing_is_gained(rates: list[float]) -> None:
    assert gain_of_doubling(np.array([4.0, 8.0, 16.0]), rates, 16, MANY) == pytest.approx(0)


def test_the_sentence_says_what_is_gained_and_what_is_not() -> None:
    points = [
        LearningPoint(images=size, accuracy=accuracy, auroc=0.9)
        for size, accuracy in ((4, 0.6), (8, 0.8), (16, 0.9))
    ]
    curve = LearningCurve.through(points, images=16, held_out=MANY)
    assert curve.sentence == (
        "Twice as many training images would raise the accuracy by about 5.0 points and the AUROC "
        "by less than 0.1 points, according to the learning curve from 4 to 16 images per class, "
        "where left-out classes are the anomalies."
    )


def vectors(of_each: int, *, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors (n, 12) float32 of three classes, and labels."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(3), of_each)
    features = rng.normal(size=(len(labels), 12)) + apart * np.eye(12)[labels]
    return features.astype(np.float32), labels


@pytest.mark.pipeline
def test_each_point_has_more_images_and_classes_far_apart_are_told() -> None:
    x, labels = vectors(32, apart=6)
    curve = learning_curve(x, labels, classes=3, training=options(), seed=0)
    assert curve is not None
    assert [point.images for point in curve.points] == [3, 6, 12, 24]
    assert (curve.images, curve.held_out) == (32, 96)
    assert curve.points[-1].accuracy > 0.95
    assert curve.points[-1].auroc > 0.9


def test_too_few_images_for_two_points_give_no_curve() -> None:
    x, labels = vectors(3, apart=6)
    assert learning_curve(x, labels, classes=3, training=options(), seed=0) is None


def test_a_smaller_share_is_part_of_a_larger_one_and_has_images_of_each_class() -> None:
    labels = np.array([0, 1, 0, 0, 1, 0, 1, 0, 0, 0])
    assert first_of_each_class(labels, 0.1).tolist() == [0, 1, 2, 4]
    assert first_of_each_class(labels, 0.5).tolist() == [0, 1, 2, 3, 4, 5]
    assert set(first_of_each_class(labels, 0.5)) <= set(first_of_each_class(labels, 1.0))
