"""Which images `belong clean` lists, and how its accuracy is measured."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.neighbors import NearestNeighbors

from belong.commands.clean import foreign_images, reliability
from belong.commands.clean.foreign_images import Distances, distances
from belong.commands.clean.judgment import judge, with_planted
from belong.commands.clean.label_issues import log_odds, log_ratio, remarks, suspects
from belong.commands.clean.out_of_fold import Fold, Images, by_regression, folds
from belong.commands.clean.reliability import Reliability, measure, refusals
from belong.models.training_loop import TrainingFailedError

CLEAR = Reliability(1.0, 0.5, 1.0, 1.0, "", "")


def two_classes() -> tuple[np.ndarray, Distances, np.ndarray]:
    """400 images of two classes; 0 looks like class b, 1 is far from both."""
    labels = np.repeat([0, 1], 200)
    bulk = norm.ppf((np.arange(200) + 0.5) / 200)
    odds = np.tile(-3 + 0.5 * bulk, 2)
    odds[0] = 4.0
    p_own = 1 / (1 + np.exp(odds))
    probabilities = np.where(labels[:, None] == [0, 1], p_own[:, None], 1 - p_own[:, None])
    near = np.exp(0.2 * np.tile(bulk, 2))
    to_class = np.where(labels[:, None] == [0, 1], near[:, None], 5.0)
    to_class[0], to_class[1] = [5.0, 1.0], [20.0, 25.0]
    return probabilities, Distances(to_class, to_class, np.full(9, 9.0)), labels


def remarks_for(
    reliability: Reliability = CLEAR, *, false_alarms: float = 0.1
) -> list[tuple[int, str, str]]:
    suspect_table = suspects(*two_classes(), ["a", "b"], reliability, knows_classes=False)
    issues = remarks(suspect_table, np.arange(400), false_alarms=false_alarms)
    return [(one.row, one.verdict, one.problem) for one in issues]


def test_wrong_labels_and_foreign_images_are_told_apart() -> None:
    assert remarks_for() == [(0, "quarantine", "wrong_class"), (1, "quarantine", "foreign")]


def test_a_wrong_label_is_given_the_class_that_the_image_looks_like() -> None:
    suspect_table = suspects(*two_classes(), ["a", "b"], CLEAR, knows_classes=False)
    (remark, _) = remarks(suspect_table, np.arange(400), false_alarms=0.1)
    assert remark.sentence.startswith("looks like class b (probability 0.98); false discovery")


def test_the_ratio_of_distances_names_the_same_image_where_a_network_was_trained() -> None:
    suspect_table = suspects(*two_classes(), ["a", "b"], CLEAR, knows_classes=True)
    assert suspect_table["p_wrong_class"].idxmin() == 0


def test_nothing_is_said_about_labels_where_it_is_refused() -> None:
    assert remarks_for(Reliability(0.5, 0.5, 1.0, 1.0, "blind", "")) == [
        (1, "quarantine", "foreign")
    ]


def test_nothing_is_said_about_foreign_images_where_it_is_refused() -> None:
    assert remarks_for(Reliability(1.0, 0.5, 0.5, 0.5, "", "blind")) == [
        (0, "quarantine", "wrong_class")
    ]


def test_a_label_that_the_classifier_does_not_doubt_is_never_named() -> None:
    probabilities, far, labels = two_classes()
    probabilities[0] = [0.51, 0.49]
    suspect_table = suspects(probabilities, far, labels, ["a", "b"], CLEAR, knows_classes=False)
    assert suspect_table["share_wrong_class"][0] == 1


def test_the_share_of_false_alarms_is_that_of_benjamini_and_hochberg() -> None:
    suspect_table = suspects(*two_classes(), ["a", "b"], CLEAR, knows_classes=False)
    assert suspect_table["share_wrong_class"].min() == pytest.approx(
        suspect_table["p_wrong_class"].min() * 400
    )
    assert suspect_table["share_foreign"].min() == pytest.approx(
        4 * suspect_table["p_foreign"].min() * 400
    )


def test_labels_are_reviewed_up_to_1_5_times_the_rate_and_both_kinds_of_evidence_add_up() -> None:
    suspect_table = pd.DataFrame(
        {
            "predicted_class": ["a"] * 4,
            "probability": [0.9] * 4,
            "share_wrong_class": [0.1, 0.15, 0.16, 1.0],
            "share_foreign": [1.0, 1.0, 1.0, 0.1],
            "share_both": [0.05, 1.0, 0.1, 1.0],
        }
    )
    issues = remarks(suspect_table, np.array([7, 8, 9, 4]), false_alarms=0.1)
    assert [(one.row, one.verdict, one.problem) for one in issues] == [
        (7, "quarantine", "wrong_class"),
        (8, "review", "wrong_class"),
        (9, "quarantine", "foreign"),
        (4, "quarantine", "foreign"),
    ]


def test_log_odds_are_of_the_likeliest_other_class() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]])
    assert log_odds(probabilities, np.array([2, 1])) == pytest.approx(
        [np.log(0.5 / 0.2), np.log(0.1 / 0.8)]
    )


def test_log_ratio_is_of_the_own_class_to_the_nearest_other() -> None:
    assert log_ratio(np.array([[4.0, 2.0, 1.0]]), np.array([0])) == pytest.approx([np.log(4)])


def photos(n: int = 120, d: int = 8) -> Images:
    """Vectors (n, 2 + d) of three classes on the sphere; the first two values are noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    vectors = 3 * np.eye(d)[labels] + rng.normal(size=(n, d))
    vectors = np.hstack([rng.normal(size=(n, 2)) * 1e3, vectors]).astype(np.float32)
    planted = np.hstack([np.zeros((6, 2)), np.tile(-np.eye(d)[:1], (6, 1))]).astype(np.float32)
    fold = folds(labels, np.full(n, -1), count=4, rng=rng)
    return Images(
        inputs=torch.from_numpy(vectors),
        labels=torch.from_numpy(labels),
        fold=torch.from_numpy(fold),
        class_names=["a", "b", "c"],
        planted=torch.from_numpy(planted),
        planted_fold=torch.arange(6) % 4,
    )


def test_the_distances_to_all_are_those_of_scikit_learn() -> None:
    images = photos()
    probabilities = np.eye(3, dtype=np.float32)[images.labels.numpy()]
    to_all = distances(by_regression(images, 8), images.labels, probabilities).to_all
    vectors = images.inputs[:, 2:].numpy()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    row = 5
    others = vectors[(images.fold != images.fold[row]).numpy() & (images.labels == 1).numpy()]
    search = NearestNeighbors(n_neighbors=foreign_images.FIRST_NEIGHBORS).fit(others)
    assert to_all[row, 1] == pytest.approx(search.kneighbors(vectors[[row]])[0][0, -1], rel=1e-4)


def test_foreign_images_of_doubted_labels_are_no_neighbors_of_each_other() -> None:
    images = photos()
    vectors = images.inputs.numpy().copy()
    labels = images.labels.numpy()
    rows = np.flatnonzero(labels == 0)[:8]
    rng = np.random.default_rng(1)
    vectors[rows, 2:] = -5 * np.eye(8)[7] + 0.1 * rng.normal(size=(8, 8))
    probabilities = np.full((120, 3), 0.02, np.float32)
    probabilities[np.arange(120), labels] = 0.96 - 1e-4 * np.arange(120)
    probabilities[rows] = 1 / 3
    regression = by_regression(
        Images(
            torch.from_numpy(vectors), images.labels, images.fold, "abc",
            images.planted, images.planted_fold,
        ),
        8,
    )  # fmt: skip
    far = distances(regression, images.labels, probabilities)
    assert far.to_nearest[rows].min() > np.delete(far.to_nearest, rows).max()


def test_the_probabilities_of_an_image_do_not_depend_on_its_own_label() -> None:
    images = photos()
    labels = images.labels.clone()
    row = int(torch.nonzero(images.fold == 0)[0])
    labels[row] = (labels[row] + 1) % 3
    other = Images(images.inputs, labels, images.fold, "abc", images.planted, images.planted_fold)
    before, after = by_regression(images, 8)[0], by_regression(other, 8)[0]
    assert torch.equal(before.probabilities, after.probabilities)


def test_planted_images_far_from_all_have_an_auroc_of_one() -> None:
    judgment = judge(photos(), lambda images: by_regression(images, 8), knows_classes=False)
    assert judgment.reliability["scrambled_auroc"] == 1
    assert judgment.reliability["labels_refused"] == judgment.reliability["foreign_refused"] == ""


def test_the_auroc_of_classes_left_out_is_the_mean_worked_out_by_hand() -> None:
    labels = np.array([0, 0, 1, 1])
    to_class = np.array([[1, 5], [1, 2], [6, 1], [1, 1]], np.float32)
    quality = measure(
        np.eye(2)[labels], Distances(to_class, to_class, np.ones(3)), labels, knows_classes=False
    )
    # Class 0 left out: 5, 2 against 1, 1: AUROC 1. Class 1: 6, 1 against 1, 1: 0.75.
    assert quality.left_out_auroc == pytest.approx(0.875)


def test_a_classifier_at_chance_is_refused_and_the_line_has_its_numbers() -> None:
    labels = np.tile([0, 1], 100)
    same = np.tile([[1.0, 2.0]], (200, 1))
    far = Distances(same, same, np.array([9.0]))
    probabilities = np.tile([[0.6, 0.4]], (200, 1))
    quality = measure(probabilities, far, labels, knows_classes=True)
    assert quality.labels_refused.startswith(
        "labels are not judged: expected an accuracy of at least 62.5% on unseen images, got 50% "
        "(always predicting the largest class: 50%); "
    )
    assert (quality.foreign_refused, quality.left_out_auroc) == ("", None)


def test_planted_images_that_cannot_be_told_are_refused() -> None:
    labels = np.tile([0, 1], 100)
    same = np.ones((200, 2))
    quality = measure(
        np.eye(2)[labels], Distances(same, same, np.ones(5)), labels, knows_classes=True
    )
    assert (
        "an AUROC of at least 0.6 on planted foreign images, got 0.500" in quality.foreign_refused
    )
    assert refusals(quality.as_json()) == [quality.foreign_refused]


def test_a_training_that_fails_ends_in_one_refusal_and_no_verdict() -> None:
    def fails(_: Images) -> list[Fold]:
        raise TrainingFailedError("the network is dead")

    judgment = judge(photos(), fails, knows_classes=True)
    assert judgment.evidence is None
    assert refusals(judgment.reliability) == [
        "labels and foreign images are not judged: the network is dead"
    ]
    assert reliability.in_words(judgment.reliability) == []


def test_scrambled_images_are_judged_in_the_fold_of_the_image_that_they_are_made_of() -> None:
    pixels = np.zeros((10, 1, 8, 8), np.uint8)
    pixels += np.arange(10, dtype=np.uint8)[:, None, None, None]
    fold = np.arange(10) % 3
    images = with_planted(
        pixels, np.arange(10) % 2, fold, "ab", embed=lambda x: x, rng=np.random.default_rng(0)
    )
    made_of = images.planted[:, 0, 0, 0].numpy()
    assert images.planted_fold.tolist() == fold[made_of].tolist()
