"""Which detectors are members of `combined`: the rule by hand, and blind detectors."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score
from torch import Tensor

from belong.detectors.base import Detector, Training
from belong.detectors.combined import Member, entered
from belong.detectors.energy import Energy
from belong.detectors.hidden_knn import HiddenNeighbors
from belong.detectors.member_selection import (
    FOLDS,
    Fit,
    Retraining,
    auroc_with_error,
    decide,
    select,
)
from belong.models.activations import Views
from belong.models.train_classifier import TrainingOptions
from belong.runtime.errors import InputError

E, D = 8, 4  # values of the hidden layer, and features
OPTIONS = TrainingOptions(
    lambda_=0.1, epochs=3, batch_size=16, learning_rate=0.05, momentum=0.9, weight_decay=0.0,
    center_rate=0.5, shift_px=0, flip=False, embedding=D,
)  # fmt: skip


@dataclass(frozen=True)
class Blind(Detector):
    """A detector whose scores are independent of the classes."""

    odd = "its number is large"

    @classmethod
    def fit(cls, training: Training) -> "Blind":
        del training
        return cls()

    def score(self, views: Views) -> Tensor:
        return torch.rand(len(views), generator=torch.Generator().manual_seed(0))


def images(n_of_class: int, classes: int, seed: int) -> tuple[Views, Tensor]:
    """Return images of classes along separate axes, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(n_of_class)
    hidden = 6 * torch.eye(E)[labels % E] + torch.randn(len(labels), E, generator=generator)
    logits = 6 * torch.eye(classes)[labels]
    nothing = torch.zeros(len(labels), 1)
    return Views(hidden[:, :D].relu(), logits, hidden, nothing, nothing, nothing[:, 0]), labels


def training(n_of_class: int = 30, classes: int = 4) -> Training:
    views, labels = images(n_of_class, classes, seed=0)
    names = [f"class {label}" for label in range(classes)]
    return Training(views, labels, names, torch.zeros(classes, D), torch.zeros(classes))


FITS: dict[str, Fit] = {
    "hidden_knn": lambda data: HiddenNeighbors.fit(data, k=3),
    "energy": Energy.fit,
    "blind": Blind.fit,
}


def selected(
    fits: dict[str, Fit] = FITS, retraining: Retraining | None = None, classes: int = 4
) -> dict[str, Member]:
    views, labels = images(20, classes, seed=1)
    data = training(classes=classes)
    return select(data, views, labels, fits, seed=0, retraining=retraining)


def test_auroc_is_sklearns_with_ties_counted_half() -> None:
    normal, anomaly = np.array([0.0, 1, 1, 2]), np.array([1.0, 2, 3])
    auroc, _ = auroc_with_error(normal, anomaly)
    truth, scores = [0] * 4 + [1] * 3, np.concatenate((normal, anomaly))
    assert auroc == pytest.approx(roc_auc_score(truth, scores))
    assert auroc == pytest.approx(mannwhitneyu(anomaly, normal).statistic / 12)


def test_the_standard_error_is_hanley_and_mcneils_by_hand() -> None:
    # 0, 1 against 0.5, 2: three of four pairs in order, A = 3/4; Q1 = A / (2 - A) = 3/5 and
    # Q2 = 2 A^2 / (1 + A) = 9/14, so that 4 SE^2 = A (1 - A) + (Q1 - A^2) + (Q2 - A^2).
    auroc, error = auroc_with_error(np.array([0.0, 1.0]), np.array([0.5, 2.0]))
    assert auroc == 0.75
    expected = (3 / 16 + (3 / 5 - 9 / 16) + (9 / 14 - 9 / 16)) / 4
    assert error == pytest.approx(expected**0.5)


@pytest.mark.parametrize("retraining", [None, Retraining(OPTIONS, seed=0)])
def test_a_detector_that_is_blind_does_not_enter_and_one_that_sees_does(
    retraining: Retraining | None,
) -> None:
    members = selected(retraining=retraining)
    assert "hidden_knn" in entered(members)
    assert "blind" not in entered(members)
    assert "AUROC" in str(members["blind"].left_out)
    auroc = members["hidden_knn"].auroc
    assert auroc is not None
    assert auroc > 0.95


@pytest.mark.parametrize("retraining", [None, Retraining(OPTIONS, seed=0)])
def test_choosing_twice_gives_the_same_numbers(retraining: Retraining | None) -> None:
    assert selected(retraining=retraining) == selected(retraining=retraining)


def test_a_detector_is_fitted_without_the_class_left_out() -> None:
    trainings = []

    def fit(data: Training) -> Detector:
        trainings.append((data.class_names, data.labels.unique().tolist(), data.weight.shape[0]))
        assert data.views.logits.shape[1] == 3
        return Blind()

    selected({"one": fit})
    names = ["class 0", "class 1", "class 2", "class 3"]
    assert [one[0] for one in trainings] == [names[:k] + names[k + 1 :] for k in range(4)]
    assert all(one[1:] == ([0, 1, 2], 3) for one in trainings)


def test_the_layer_above_a_frozen_backbone_is_trained_again_without_the_class() -> None:
    widths, features = set(), []

    def fit(data: Training) -> Detector:
        widths.add((data.views.logits.shape[1], data.weight.shape))
        features.append(data.views.features)
        assert torch.allclose(
            data.views.features @ data.weight.T + data.bias, data.views.logits, atol=1e-5
        )
        return Blind()

    selected({"one": fit}, Retraining(OPTIONS, seed=0))
    assert widths == {(3, (3, D))}
    assert not torch.equal(features[0], features[1])


def test_of_many_classes_several_are_left_out_at_once() -> None:
    class_counts = []

    def fit(data: Training) -> Detector:
        class_counts.append(25 - len(data.class_names))
        return Blind()

    selected({"one": fit}, classes=25)
    assert len(class_counts) == FOLDS
    assert sum(class_counts) == 25


def test_of_two_classes_a_detector_is_fitted_to_the_other_one() -> None:
    members = selected({"hidden_knn": FITS["hidden_knn"]}, Retraining(OPTIONS, 0), classes=2)
    assert members["hidden_knn"].auroc == 1.0


def test_a_detector_that_cannot_be_fitted_to_fewer_classes_enters_unmeasured() -> None:
    def fit(data: Training) -> Detector:
        raise InputError(f"{len(data.class_names)} classes are too few")

    members = selected({"hidden_knn": FITS["hidden_knn"], "proud": fit})
    assert members["proud"] == Member(None, None)
    assert entered(members) == ["hidden_knn", "proud"]


def test_where_the_network_has_not_seen_the_class_most_of_the_best_ones_lead_is_asked() -> None:
    # 0.5 + 0.7 x 0.4
    measured = {"best": Member(0.9, 0.88), "good": Member(0.79, 0.75), "less": Member(0.77, 0.73)}
    members = decide(measured, is_fair=True)
    assert entered(members) == ["best", "good"]
    assert members["less"].left_out == "AUROC 0.770 on classes left out, below 0.780"


def test_where_the_network_has_seen_the_class_the_best_one_is_no_measure() -> None:
    measured = {"best": Member(1.0, 1.0), "far": Member(0.6, 0.58), "blind": Member(0.59, 0.57)}
    assert entered(decide(measured, is_fair=False)) == ["best", "far"]


def test_a_detector_that_may_be_at_chance_is_no_member() -> None:
    measured = {"best": Member(0.8, 0.7), "lucky": Member(0.75, 0.5)}
    members = decide(measured, is_fair=True)
    assert entered(members) == ["best"]
    assert "may be chance" in str(members["lucky"].left_out)


def test_where_all_are_blind_all_stay() -> None:
    measured = {"one": Member(0.5, 0.4), "other": Member(0.52, 0.45)}
    assert entered(decide(measured, is_fair=True)) == ["one", "other"]
