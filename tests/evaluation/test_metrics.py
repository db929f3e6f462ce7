"""Measures, against scikit-learn, scipy, pytorch-ood and an example worked out by hand."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_ood.metrics import FPRAtTPR
from scipy.stats import mannwhitneyu
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from belong.calibration import conformal
from belong.evaluation import metrics
from belong.evaluation.evaluate import compared

# Four normal images and two anomalies, one of them among the normal ones.
NORMAL = np.array([1.0, 2.0, 3.0, 4.0])
ANOMALY = np.array([3.5, 5.0])


def overlapping(n: int, m: int, *, rounded_to: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of n normal images and m anomalies; rounded, many of them tie."""
    rng = np.random.default_rng(0)
    normal, anomaly = rng.normal(0, 1, n), rng.normal(1.5, 1.5, m)
    if rounded_to is not None:
        normal, anomaly = normal.round(rounded_to), anomaly.round(rounded_to)
    return normal, anomaly


EXAMPLES = [overlapping(500, 300), overlapping(90, 910, rounded_to=1), (NORMAL, ANOMALY)]


def truth_and_scores(normal: np.ndarray, anomaly: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([0, 1], [len(normal), len(anomaly)]), np.concatenate((normal, anomaly))


def test_ranking_by_hand() -> None:
    # AUROC: 3.5 is above 3 of the 4, 5 above all: 7 of 8 pairs.
    # FPR95: all four must be accepted, up to 4; so is 3.5: 1 of 2.
    # AUPR, anomalies from the top: 5 (a), 4, 3.5 (a): 1/2 x 1 + 1/2 x 2/3.
    # AUPR, normal from below: 1, 2, 3 (all normal), 3.5, 4 (n): 3/4 x 1 + 1/4 x 4/5.
    expected = {"auroc": 7 / 8, "fpr95": 1 / 2, "aupr_normal": 0.95, "aupr_anomaly": 5 / 6}
    assert metrics.ranking(NORMAL, ANOMALY) == pytest.approx(expected)


def measured(normal: np.ndarray, anomaly: np.ndarray, threshold: float) -> dict[str, Any]:
    return metrics.detector(
        normal,
        anomaly,
        np.ones(len(normal), bool),
        threshold=threshold,
        resamples=20,
        rng=np.random.default_rng(0),
        why_none="there is none",
    )


def test_verdicts_by_hand() -> None:
    # Accepted up to 3: of the normal images 3 of 4, of the anomalies none.
    # F1 normal: 2 x 3 / (2 x 3 + 1 + 0). F1 anomaly: 2 x 2 / (2 x 2 + 0 + 1).
    # At 1:1, as shares: 2 x 3/4 / (2 x 3/4 + 1/4) and 2 x 1 / (2 x 1 + 1/4).
    values = measured(NORMAL, ANOMALY, 3.0)
    expected = {
        "false_reject": 1 / 4,
        "false_accept": 0,
        "f1_normal": 6 / 7,
        "f1_anomaly": 4 / 5,
        "f1_normal_balanced": 6 / 7,
        "f1_anomaly_balanced": 8 / 9,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("normal", "anomaly"), EXAMPLES)
def test_auroc_is_the_share_of_pairs_in_the_right_order(
    normal: np.ndarray, anomaly: np.ndarray
) -> None:
    pairs = mannwhitneyu(anomaly, normal).statistic / (len(normal) * len(anomaly))
    assert metrics.ranking(normal, anomaly)["auroc"] == pytest.approx(pairs)


@pytest.mark.parametrize(("normal", "anomaly"), EXAMPLES)
def test_auroc_and_both_auprs_are_those_of_scikit_learn(
    normal: np.ndarray, anomaly: np.ndarray
) -> None:
    is_anomaly, scores = truth_and_scores(normal, anomaly)
    values = metrics.ranking(normal, anomaly)
    assert values["auroc"] == pytest.approx(roc_auc_score(is_anomaly, scores))
    assert values["aupr_anomaly"] == pytest.approx(average_precision_score(is_anomaly, scores))
    assert values["aupr_normal"] == pytest.approx(average_precision_score(1 - is_anomaly, -scores))


def test_exchanging_the_kinds_and_the_sign_of_the_scores_exchanges_the_auprs() -> None:
    normal, anomaly = EXAMPLES[0]
    values, exchanged = metrics.ranking(normal, anomaly), metrics.ranking(-anomaly, -normal)
    assert exchanged["auroc"] == pytest.approx(values["auroc"])
    assert exchanged["aupr_normal"] == pytest.approx(values["aupr_anomaly"])
    assert exchanged["aupr_anomaly"] == pytest.approx(values["aupr_normal"])


tied_scores = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=60).map(np.array)


@given(tied_scores, tied_scores)
def test_fpr95_is_the_least_share_of_anomalies_accepted_along_with_95_percent_of_normal_images(
    normal: np.ndarray, anomaly: np.ndarray
) -> None:
    shares = [
        np.mean(anomaly <= threshold)
        for threshold in normal
        if Fraction(int(np.sum(normal <= threshold)), len(normal)) >= Fraction(95, 100)
    ]
    assert metrics.fpr95(normal, anomaly) == min(shares)


@pytest.mark.parametrize(("normal", "anomaly"), EXAMPLES)
def test_fpr95_is_that_of_pytorch_ood_with_normal_as_the_positive_class(
    normal: np.ndarray, anomaly: np.ndarray
) -> None:
    # Theirs asks that 95% of the anomalies be found; the kinds and the sign are exchanged, so
    # that it asks that 95% of the normal images be accepted.
    is_anomaly, scores = truth_and_scores(normal, anomaly)
    theirs = FPRAtTPR(0.95).update(-torch.from_numpy(scores), torch.from_numpy(is_anomaly) - 1)
    assert metrics.fpr95(normal, anomaly) == pytest.approx(float(theirs.compute()["FPR95TPR"]))


@pytest.mark.parametrize(("normal", "anomaly"), EXAMPLES)
@pytest.mark.parametrize("threshold", [-0.5, 1.0, 2.0, 4.0])
def test_every_f1_is_that_of_scikit_learn_on_the_verdicts(
    normal: np.ndarray, anomaly: np.ndarray, threshold: float
) -> None:
    is_anomaly, scores = truth_and_scores(normal, anomaly)
    verdicts = (scores > threshold).astype(int)
    balance = np.where(is_anomaly, 1 / len(anomaly), 1 / len(normal))
    values = measured(normal, anomaly, threshold)
    for name, positive in (("normal", 0), ("anomaly", 1)):
        natural, balanced = (
            f1_score(is_anomaly, verdicts, pos_label=positive, sample_weight=weights)
            for weights in (None, balance)
        )
        assert values[f"f1_{name}"] == pytest.approx(natural)
        assert values[f"f1_{name}_balanced"] == pytest.approx(balanced)


def test_balanced_f1_does_not_change_when_every_anomaly_is_there_ten_times() -> None:
    normal, anomaly = EXAMPLES[0]
    once, often = (measured(normal, np.tile(anomaly, times), 1.0) for times in (1, 10))
    for name in ("f1_normal_balanced", "f1_anomaly_balanced"):
        assert often[name] == pytest.approx(once[name])


def test_an_image_that_scores_as_high_as_the_threshold_is_accepted() -> None:
    assert metrics.rejected(np.array([1.0, 2.0, 3.0]), 2.0) == pytest.approx(1 / 3)


def test_accepting_everything_has_an_f1_of_two_thirds_at_equal_numbers() -> None:
    floors = metrics.floors(500, 500)
    assert floors["accept_all"]["f1_normal"] == pytest.approx(2 / 3)
    assert floors["reject_all"]["f1_anomaly"] == pytest.approx(2 / 3)


def test_accepting_everything_has_an_f1_of_0_948_on_mnist_1_to_9_against_0() -> None:
    # 9,020 test images of 1..9 and 980 of 0: the paper's second pair.
    floors = metrics.floors(9020, 980)
    assert floors["accept_all"]["f1_normal"] == pytest.approx(18040 / 19020)
    assert floors["accept_all"]["f1_normal"] == pytest.approx(0.948, abs=5e-4)
    assert floors["accept_all"]["f1_normal_balanced"] == pytest.approx(2 / 3)


def test_floors_are_what_a_detector_with_a_threshold_beyond_all_scores_reaches() -> None:
    normal, anomaly = EXAMPLES[1]
    floors = metrics.floors(len(normal), len(anomaly))
    for kind, threshold in (("accept_all", math.inf), ("reject_all", -math.inf)):
        values = measured(normal, anomaly, threshold)
        assert {name: values[name] for name in floors[kind]} == pytest.approx(floors[kind])


def test_the_bootstrap_interval_of_the_auroc_is_that_of_delongs_variance() -> None:
    """DeLong et al. 1988: the variance is that of the placements of each kind in the other."""
    rng = np.random.default_rng(0)
    normal, anomaly = rng.normal(0, 1, 400), rng.normal(1.5, 1, 300)
    beats = (anomaly[:, None] > normal).astype(float)
    auroc = beats.mean()
    variance = beats.mean(axis=1).var(ddof=1) / 300 + beats.mean(axis=0).var(ddof=1) / 400
    interval = metrics.auroc_interval(normal, anomaly, resamples=4000, rng=rng)
    expected = [auroc - 1.96 * variance**0.5, auroc + 1.96 * variance**0.5]
    assert list(interval.values()) == pytest.approx(expected, abs=0.002)


def test_scores_that_all_tie_have_an_auroc_interval_at_one_half() -> None:
    equal = np.ones(10)
    interval = metrics.auroc_interval(equal, equal, resamples=20, rng=np.random.default_rng(0))
    assert interval == {"auroc_low": 0.5, "auroc_high": 0.5}


def test_open_set_accuracy_counts_images_that_are_accepted_and_classified_right() -> None:
    scores, right = np.array([1.0, 1.0, 3.0, 3.0]), np.array([True, False, True, False])
    assert metrics.open_set_accuracy(scores, right, 1.0) == 1 / 4
    assert metrics.open_set_accuracy(scores, right, 3.0) == 2 / 4


def test_the_matrix_has_a_row_for_each_detector_and_set_of_anomalies() -> None:
    normal = {"a": np.array([1.0, 2.0]), "b": np.array([1.0, 2.0])}
    sets = {"far": {"a": np.array([3.0]), "b": np.array([0.0])}}
    table = metrics.anomaly_sets(normal, sets, {"a": 2.0, "b": 2.0})
    assert table.to_dict("list") == {
        "detector": ["a", "b"],
        "anomalies": ["far", "far"],
        "n_anomalies": [1, 1],
        "auroc": [1.0, 0.0],
        "fpr95": [0.0, 1.0],
        "false_accept": [0.0, 1.0],
    }


def test_classification_by_hand() -> None:
    # Class 0: both found, and one image of class 1 beside them: F1 4/5. Class 1: 1 of 2
    # found: F1 2/3. Class 2: its only image found: F1 1.
    truth, predicted = np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 2])
    expected = {"accuracy": 4 / 5, "f1_macro": (4 / 5 + 2 / 3 + 1) / 3, "n": 5}
    assert metrics.classification(truth, predicted) == pytest.approx(expected)


def test_classification_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, 300)
    predicted = np.where(rng.random(300) < 0.7, truth, rng.integers(0, 10, 300))
    values = metrics.classification(truth, predicted)
    assert values["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert values["f1_macro"] == pytest.approx(f1_score(truth, predicted, average="macro"))


def test_calibration_by_hand() -> None:
    # Held out 1..9 at 0.2: the threshold is 8, which rejects 9 and 12; the training
    # threshold 10 rejects 12 alone.
    values = metrics.calibration(
        np.arange(1.0, 10.0), np.array([0.5, 8.0, 9.0, 12.0]), 10.0, alpha=0.2
    )
    assert values["alpha"] == 0.2
    assert values["n_calibration"] == 9
    assert values["false_reject_calibrated"] == 2 / 4
    assert values["false_reject_training"] == 1 / 4


@pytest.mark.parametrize(("normal", "anomaly"), EXAMPLES)
@pytest.mark.parametrize("most", [2, 10, 400])
def test_roc_points_run_from_nothing_accepted_to_everything_accepted(
    normal: np.ndarray, anomaly: np.ndarray, most: int
) -> None:
    rates = metrics.roc_points(normal, anomaly, most=most)[
        ["false_positive_rate", "true_positive_rate"]
    ].to_numpy()
    assert rates[0].tolist() == [0, 0]
    assert rates[-1].tolist() == [1, 1]
    assert (np.diff(rates, axis=0) >= 0).all()
    assert len(rates) <= most


@pytest.mark.parametrize(("normal", "anomaly"), EXAMPLES)
def test_the_threshold_of_every_roc_point_gives_its_rates(
    normal: np.ndarray, anomaly: np.ndarray
) -> None:
    points = metrics.roc_points(normal, anomaly, most=50)
    for point in points.itertuples():
        assert point.true_positive_rate == pytest.approx(np.mean(normal <= point.threshold))
        assert point.false_positive_rate == pytest.approx(np.mean(anomaly <= point.threshold))


@pytest.mark.parametrize(("n", "m"), [(500, 300), (10_000, 10_000), (50, 9000)])
def test_the_area_under_400_roc_points_is_auroc_to_a_thousandth(n: int, m: int) -> None:
    normal, anomaly = overlapping(n, m)
    points = metrics.roc_points(normal, anomaly, most=400)
    area = np.trapezoid(points["true_positive_rate"], points["false_positive_rate"])
    assert area == pytest.approx(metrics.ranking(normal, anomaly)["auroc"], abs=1e-3)


def test_a_histogram_by_hand() -> None:
    # From 0 to 4 in bins of 1; the last bin has both its ends.
    scores = {"normal": np.array([0.0, 0.5, 1.5, 2.0]), "anomaly": np.array([3.0, 4.0])}
    table = metrics.histogram(scores, bins=4, reach=1.0)
    assert table["score"].tolist() == [0.5, 1.5, 2.5, 3.5]
    assert table["normal"].tolist() == [2 / 4, 1 / 4, 1 / 4, 0]
    assert table["anomaly"].tolist() == [0, 0, 0, 1]


def test_scores_beyond_the_reach_of_a_histogram_count_in_its_outermost_bins() -> None:
    # Of -1000, 0..9 and 1000, the middle 0.8 runs from position 1.1 to 9.9: from 0.1 to 8.9.
    values = np.array([-1000.0, *range(10), 1000.0])
    table = metrics.histogram({"all": values}, bins=2, reach=0.8)
    assert table["score"].tolist() == pytest.approx([0.1 + 8.8 / 4, 0.1 + 8.8 * 3 / 4])
    assert table["all"].tolist() == pytest.approx([6 / 12, 6 / 12])


@pytest.mark.parametrize(("normal", "anomaly"), EXAMPLES)
def test_the_shares_of_each_kind_in_a_histogram_sum_to_1(
    normal: np.ndarray, anomaly: np.ndarray
) -> None:
    table = metrics.histogram({"normal": normal, "anomaly": anomaly}, bins=13)
    assert table[["normal", "anomaly"]].sum().tolist() == pytest.approx([1, 1])


def test_a_histogram_of_equal_scores_has_them_all_in_one_bin() -> None:
    table = metrics.histogram({"normal": np.full(5, 2.0), "anomaly": np.full(3, 2.0)}, bins=4)
    assert table["normal"].tolist() == [1, 0, 0, 0]
    assert table["anomaly"].tolist() == [1, 0, 0, 0]


def test_numbers_are_rounded_to_four_decimals_at_every_depth_and_counts_are_kept() -> None:
    value = {"a": 0.123456, "n": 12345, "b": {"c": {"d": 2 / 3}, "name": "x"}}
    assert metrics.rounded(value) == {
        "a": 0.1235,
        "n": 12345,
        "b": {"c": {"d": 0.6667}, "name": "x"},
    }


def test_without_anomalies_the_metrics_that_need_them_are_null_with_a_reason() -> None:
    values = measured(NORMAL, np.empty(0), 3.0)
    assert {name for name, value in values.items() if value is None} == {*metrics.WANTS_ANOMALIES}
    numbers = {name: value for name, value in values.items() if value is not None}
    assert numbers == {
        "aurc": 0,
        "augrc": 0,
        "false_reject": 1 / 4,
        "open_set_accuracy": 3 / 4,
        "reason": "there is none",
    }


def test_with_anomalies_nothing_is_null() -> None:
    assert None not in measured(NORMAL, ANOMALY, 3.0).values()


def test_precision_and_recall_by_hand() -> None:
    points = metrics.precision_recall_points(NORMAL, ANOMALY, most=1000)
    curves = {
        kind: set(zip(rows["recall"], rows["precision"], strict=True))
        for kind, rows in points.groupby("kind")
    }
    # Anomalies from the top: 5 (a), 4, 3.5 (a), 3, 2, 1. Normal images from below: 1, 2, 3, 3.5
    # (a), 4, 5 (a).
    assert curves["anomaly"] >= {(0.5, 1.0), (1.0, 2 / 3)}
    assert curves["normal"] >= {(0.25, 1.0), (0.5, 1.0), (0.75, 1.0), (1.0, 4 / 5)}
    assert all(recall > 0 for recall, _ in curves["anomaly"] | curves["normal"])


def test_a_thinned_precision_recall_curve_keeps_full_recall_and_lies_on_the_whole_one() -> None:
    rng = np.random.default_rng(0)
    normal, anomaly = rng.normal(0, 1, 3000), rng.normal(2, 1, 2000)
    whole, thin = (
        metrics.precision_recall_points(normal, anomaly, most=most) for most in (10**6, 50)
    )
    assert len(thin) <= 100
    for kind in ("normal", "anomaly"):
        points = {
            name: set(zip(rows["recall"], rows["precision"], strict=True))
            for name, rows in (
                ("whole", whole[whole["kind"] == kind]),
                ("thin", thin[thin["kind"] == kind]),
            )
        }
        assert points["thin"] <= points["whole"]
        assert max(recall for recall, _ in points["thin"]) == 1


def test_the_calibration_curve_gives_the_rate_at_the_calibrated_threshold() -> None:
    rng = np.random.default_rng(0)
    held_out, test = {"a": rng.normal(size=999)}, {"a": rng.normal(size=500)}
    curve = metrics.calibration_curve(held_out, test, points=9)
    assert curve["alpha"].iloc[[0, -1]].tolist() == [0.001, 0.5]
    for row in curve.to_dict("records"):
        threshold = conformal.threshold(held_out["a"], alpha=row["alpha"])
        assert row["false_reject"] == np.mean(test["a"] > threshold)
        low, high = conformal.promised_range(999, 500, alpha=row["alpha"])
        assert (row["expected_low"], row["expected_high"]) == (low, high)


@pytest.mark.parametrize("images", [1, 2, 37, 400])
def test_the_calibration_curve_starts_where_the_number_of_images_allows(images: int) -> None:
    scores = {"a": np.arange(float(images))}
    curve = metrics.calibration_curve(scores, scores, points=25)
    assert curve["alpha"].min() == pytest.approx(1 / (images + 1), abs=1e-4)
    assert curve["alpha"].is_monotonic_increasing


def test_without_an_anomaly_the_floors_are_null() -> None:
    assert {one for kind in metrics.floors(5, 0).values() for one in kind.values()} == {None}


def test_ten_numbers_are_compared_between_runs() -> None:
    measured = {"auroc": 0.9, "fpr95": 0.2, "false_reject": 0.03, "aupr_normal": 0.8}
    detectors = {"mahalanobis": measured, "combined": measured, "energy": measured}
    missing = {"mlp_head": {"auroc": None, "reason": "there are no anomalies"}}
    numbers = {
        "classification": {"accuracy": 0.99, "f1_macro": 0.98}, "detectors": detectors | missing,
    }  # fmt: skip
    short = {"auroc": 0.9, "fpr95": 0.2, "frr": 0.03}
    assert compared(numbers) == {
        "accuracy": 0.99, "mahalanobis": short, "mlp_head": dict.fromkeys(short), "combined": short,
    }  # fmt: skip
