"""Folds, the least alpha, and the combined score of images that calibrate and train."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from belong.calibration import conformal
from belong.calibration.cross_conformal import deal
from belong.calibration.sample_size import least_alpha, least_to_calibrate
from belong.commands.fit import cross_fit
from belong.commands.fit.cross_fit import Part, out_of_fold_scores
from belong.detectors.combined import Combination, cross_combined
from belong.detectors.knn_search import Neighbors
from belong.detectors.score_parts import HELD_OUT


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 12))
def test_each_class_is_spread_evenly_over_the_folds(sizes: list[int], count: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    folds = deal(labels, count=count, rng=np.random.default_rng(0))
    assert np.ptp(np.bincount(folds, minlength=count)) <= 1
    for label in range(len(sizes)):
        assert np.ptp(np.bincount(folds[labels == label], minlength=count)) <= 1


@given(st.integers(1, 5000))
def test_the_least_alpha_rejects_one_image_and_a_little_less_rejects_none(n: int) -> None:
    assert least_to_calibrate(least_alpha(n)) <= n < least_to_calibrate(least_alpha(n) - 1e-4)


@pytest.mark.parametrize(("n", "alpha"), [(24, 0.04), (39, 0.025), (11, 0.08334)])
def test_the_least_alpha_by_hand(n: int, alpha: float) -> None:
    assert least_alpha(n) == alpha


def scores_of(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Return scores of two members that depend on each other."""
    common = rng.normal(size=n)
    return {
        "one": (common + rng.normal(size=n)).astype(np.float32),
        "other": np.exp(common + rng.normal(size=n)).astype(np.float32),
    }


def test_an_image_that_calibrates_is_combined_by_the_others_and_a_new_one_by_all() -> None:
    rng = np.random.default_rng(1)
    calibrating, new = scores_of(rng, 30), scores_of(rng, 5)
    sums = cross_combined(
        {"held": calibrating, "new": new}, "held", ["one", "other"], tail=0.1, rule="fisher"
    )
    others = {name: np.delete(x, 7) for name, x in calibrating.items()}
    seventh = {name: x[7:8] for name, x in calibrating.items()}
    by_others = Combination.fit(others, tail=0.1).score(seventh)
    assert (sums["held"].shape, sums["held"][7]) == ((30,), by_others[0])
    np.testing.assert_array_equal(sums["new"], Combination.fit(calibrating, tail=0.1).score(new))


@pytest.mark.pipeline
def test_combined_without_a_half_of_its_own_rejects_no_more_than_alpha() -> None:
    """Members that nothing is fitted for: 400 draws of 39 images and 50 new ones, alpha 10%."""
    rng, rates = np.random.default_rng(2), []
    for _ in range(400):
        parts = {"held": scores_of(rng, 39), "new": scores_of(rng, 50)}
        sums = cross_combined(parts, "held", ["one", "other"], tail=0.1, rule="stouffer")
        limit = conformal.threshold(sums["held"], alpha=0.1)
        rates.append((sums["new"] > limit).mean())
    assert np.mean(rates) == pytest.approx(0.1, abs=0.012)  # 4 standard errors of 400 draws


# What nonconform 2.0.0 returns, 20 times its p-values: CrossValidation.jackknife and
# CrossValidation(k=5, shuffle=True), both with mode="single_model", seed 1, and the distance to the
# second nearest training vector as the detector. It needs Python 3.12, and belong runs on 3.11, so
# that it cannot be a requirement of these tests.
# Both mode="plus" (jackknife+) and mode="single_model" give these numbers for the jackknife.
FIVE_FOLDS = [2, 2, 1, 0, 1, 4, 0, 2, 3, 3, 0, 4, 4, 2, 1, 0, 1, 3, 3]
OF_THE_OTHERS = [7, 1, 12, 7, 13, 13, 16, 7, 15, 7, 5, 7, 16, 1, 17, 5, 1, 4, 15, 12, 1, 16]


@pytest.mark.parametrize(
    ("folds", "first_two"), [(list(range(19)), [12, 1]), (FIVE_FOLDS, [12, 2])], ids=["19", "5"]
)
def test_the_p_values_of_a_vector_scored_out_of_fold_are_those_of_nonconform(
    folds: list[int], first_two: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = np.random.default_rng(17).normal(size=(19, 3)).round(2)
    new = np.random.default_rng(18).normal(scale=1.4, size=(24, 3)).round(2)

    def distances(reference: np.ndarray, queries: np.ndarray) -> np.ndarray:
        second = Neighbors(torch.from_numpy(reference)).kth_distance(torch.from_numpy(queries), k=2)
        return second.numpy()

    def scores(
        _fitting: object, train: Part, _labels: object, training_rows: np.ndarray, _parts: object,
        rows: dict[str, np.ndarray], _anomalies: object,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        of_fold = distances(train.inputs[training_rows], train.inputs[rows[HELD_OUT]])
        return {f"{HELD_OUT}/knn": of_fold}

    monkeypatch.setattr(cross_fit, "_scores_of", scores)
    monkeypatch.setattr(cross_fit, "deal", lambda *_, **__: np.array(folds))
    out_of_fold = out_of_fold_scores(
        None,  # type: ignore[arg-type]  # how a fold is fitted is replaced above
        Part(training, training, np.arange(19)), np.zeros(19, np.int64),
        derived={}, anomalies=None, seed=0,
    )  # fmt: skip
    p = conformal.p_values(out_of_fold[f"{HELD_OUT}/knn"], distances(training, new))
    assert (20 * p).round().astype(int).tolist() == first_two + OF_THE_OTHERS
