"""The arithmetic of the paper's page: published rows, balances, seeds, lambdas."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_ind
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from belong.runtime.errors import InputError
from reproduction.paper.class_balance import Balance, balance_of, known_balances
from reproduction.paper.consistency_checks import mirrored, same_accuracy, same_auroc, statements
from reproduction.paper.lambda_sweep import ACCURACY, against_zero, best_lambdas, falls_from
from reproduction.paper.published import checked, in_order, share_of_positives
from reproduction.paper.seed_statistics import (
    Comparison,
    best_of,
    by_seed,
    check,
    mean_and_sd,
    missing_cells,
)
from reproduction.paper.sweep_text import in_words
from tests.imports import ROOT
from tests.paper_grid import grid_of, plausible

PUBLISHED = checked(pd.read_csv(ROOT / "reports" / "paper" / "published.csv"))


def row(pair: str, detector: str, lambda_: float) -> "pd.Series":
    rows = PUBLISHED[(PUBLISHED["pair"] == pair) & (PUBLISHED["detector"] == detector)]
    return rows[rows["lambda"] == lambda_].iloc[0]


# --- published rows ------------------------------------------------------------------------------


def test_the_share_of_positives_follows_from_accuracy_precision_and_recall() -> None:
    truth = np.repeat([1, 0], [300, 100])
    predicted = np.concatenate((np.repeat([1, 0], [270, 30]), np.repeat([1, 0], [15, 85])))
    three = (
        measure(truth, predicted) for measure in (accuracy_score, precision_score, recall_score)
    )
    share = share_of_positives(*(pd.Series([number]) for number in three))
    assert share.iloc[0] == pytest.approx(0.75)


def test_exactly_the_six_rows_whose_f1_fits_no_precision_and_recall_are_taken_for_exchanged() -> (
    None
):
    exchanged = PUBLISHED[PUBLISHED["exchanged"]]
    cells = list(zip(exchanged["pair"], exchanged["detector"], exchanged["lambda"], strict=True))
    fashion = [("mnist-fashion-mnist", "mlp_head", one) for one in (0, 0.001, 0.01, 0.1, 1)]
    assert cells == [*fashion, ("digit-0", "mlp_head", 1)]


def test_a_row_that_is_only_off_by_rounding_is_not_taken_for_exchanged() -> None:
    """0.9733 and 0.7853 give 0.8652; the paper prints 0.8653."""
    assert not row("imagenet30-a", "mlp_head", 1.0)["exchanged"]


def test_an_unknown_pair_is_named() -> None:
    other_anomaly = PUBLISHED.assign(anomaly="kmnist")
    with pytest.raises(InputError, match="has the pair mnist / kmnist; known are mnist / fashion"):
        checked(other_anomaly)


def test_pairs_stand_in_the_order_of_the_paper_and_others_after() -> None:
    pairs = in_order(["zoo", "digit-0", "animals", "mnist-fashion-mnist"])
    assert pairs == ["mnist-fashion-mnist", "digit-0", "animals", "zoo"]


# --- balances ------------------------------------------------------------------------------------


@pytest.mark.parametrize("positive", ["normal", "anomaly"])
def test_f1_at_a_balance_is_scikit_learns_on_images_of_that_balance(positive: str) -> None:
    is_normal = np.repeat([True, False], [1000, 100])
    accepted = np.concatenate((np.arange(1000) >= 40, np.arange(100) < 7))  # 4% and 7% wrong
    if positive == "anomaly":
        is_normal, accepted = ~is_normal, ~accepted
    expected = f1_score(is_normal, accepted)
    assert Balance(positive, 10, 1).f1(0.04, 0.07) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("balance", "floor"),
    [
        (Balance("normal", 1, 1), 0.6667),
        (Balance("normal", 9020, 980), 0.9485),
        (Balance("normal", 10, 1), 0.9524),
        (Balance("anomaly", 10, 1), 0.1667),
    ],
    ids=str,
)
def test_the_floor_is_the_f1_of_calling_every_image_a_positive(
    balance: Balance, floor: float
) -> None:
    assert round(balance.floor, 4) == floor
    accept_all = (0.0, 1.0) if balance.positive == "normal" else (1.0, 0.0)
    assert balance.f1(*accept_all) == pytest.approx(balance.floor)


@pytest.mark.parametrize(
    ("detector", "lambda_", "expected"),
    [
        ("mahalanobis", 0.001, "normal, 1 : 1"),
        ("mahalanobis", 0.01, "normal, 10 : 1"),
        ("mlp_head", 0.01, "anomaly, 10 : 1"),
    ],
)
def test_the_fashion_rows_change_their_balance(
    detector: str, lambda_: float, expected: str
) -> None:
    share = row("mnist-fashion-mnist", detector, lambda_)["share"]
    assert str(balance_of(share, known_balances((10_000, 10_000)))) == expected


def test_our_own_balance_is_preferred_where_it_is_nearest() -> None:
    balance = balance_of(0.9, known_balances((9020, 980)))
    assert balance == Balance("normal", 9020, 980)


def test_a_share_far_from_every_balance_has_none() -> None:
    assert balance_of(0.62, known_balances((9020, 980))) is None


# --- contradictions ------------------------------------------------------------------------------


def test_the_supervised_aurocs_of_both_lenet_pairs_are_found_to_be_the_same() -> None:
    assert same_auroc(PUBLISHED) == [("mlp_head", "mnist-fashion-mnist", "digit-0")]


def test_other_aurocs_are_not_found_to_be_the_same() -> None:
    altered_table = PUBLISHED.copy()
    altered_table.loc[altered_table.index[5], "auroc"] = 0.9996
    assert same_auroc(altered_table) == []


def test_accuracies_that_return_with_another_f1_are_found() -> None:
    counts = {accuracy: len(names) for accuracy, names in same_accuracy(PUBLISHED)}
    assert counts == {0.8545: 3, 0.9617: 4}


def test_rows_with_each_others_precision_and_recall_are_found() -> None:
    (pair,) = mirrored(PUBLISHED)
    assert pair == (
        "ImageNet-30 b against c, mlp_head, lambda 0",
        "ImageNet-30 c against a, mlp_head, lambda 0",
    )


def test_statements_of_the_text_are_held_to_the_table() -> None:
    disagreements = {one.text: one.computed for one in statements(PUBLISHED) if not one.agrees}
    assert disagreements["F1, semi-supervised, LeNet: 0.8695 to 0.9913."] == "0.8695 to 0.9920"
    worst = "Center loss lowered the supervised F1 by 0.19 in the worst case."
    assert disagreements[worst] == "by 0.1644, ImageNet-30 a against b"
    assert len(disagreements) == 5


def test_a_statement_agrees_once_the_table_does() -> None:
    mended = PUBLISHED.replace({"f1": {0.9920: 0.9912}})
    first = statements(mended)[0]
    assert (first.computed, first.agrees) == ("0.8695 to 0.9913", True)


# --- seeds ---------------------------------------------------------------------------------------


def test_the_interval_excludes_zero_exactly_where_students_test_is_significant() -> None:
    """Of numbers so large that rounding to four decimals is nothing."""
    rng = np.random.default_rng(0)
    for mean in np.linspace(0, 2000, 21):
        differences = rng.normal(mean, 1000, 5)
        significant = ttest_1samp(differences, 0).pvalue < 0.05 and differences.mean() > 0
        assert Comparison.of("", differences).holds == significant


def test_the_interval_of_four_looks_is_that_of_a_fourth_of_five_percent_and_the_rounding() -> None:
    differences = np.array([0.1, 0.3, 0.2, 0.5, 0.4])
    low, high = ttest_1samp(differences, 0).confidence_interval(1 - 0.05 / 4)
    interval = Comparison.of("", differences, looks=4).interval
    assert interval == pytest.approx((low - 1e-4, high + 1e-4))


def test_unpaired_numbers_of_unequal_spread_and_count_have_welchs_interval() -> None:
    first, second = pd.Series([0.9, 0.2, 0.5, 0.7, 0.1]), pd.Series([0.31, 0.30, 0.33])
    expected = ttest_ind(first, second, equal_var=False).confidence_interval()
    comparison = Comparison.unpaired("", first, second)
    assert comparison.interval == pytest.approx((expected.low - 1e-4, expected.high + 1e-4))
    assert comparison.n == 3


def test_unpaired_numbers_without_any_spread_differ_by_their_difference() -> None:
    comparison = Comparison.unpaired("", pd.Series([0.5, 0.5]), pd.Series([0.2, 0.2]))
    assert comparison.interval == pytest.approx((0.2999, 0.3001))


def test_a_side_with_one_seed_leaves_unpaired_numbers_undecided() -> None:
    assert Comparison.unpaired("", pd.Series([0.5, 0.6]), pd.Series([0.2])).holds is None


def test_a_comparison_takes_the_seeds_that_both_sides_have() -> None:
    first = pd.Series({0: 3.0, 1: 4.0, 3: 9.0})
    second = pd.Series({1: 1.0, 0: 1.0, 2: 7.0})
    comparison = Comparison.between("", first, second)
    assert (comparison.n, comparison.mean, comparison.error) == (2, 2.5, 0.5)


def test_one_seed_decides_nothing() -> None:
    assert Comparison.of("", [0.5]).holds is None


def test_mean_and_spread_say_their_number_of_seeds() -> None:
    assert mean_and_sd(pd.Series([0.1, 0.2, 0.3])) == "0.2000 ± 0.1000 (3)"
    assert mean_and_sd(pd.Series([0.5])) == "0.5000 (1)"
    assert mean_and_sd(pd.Series([], dtype=float)) == "-"


def test_the_best_of_equal_lambdas_is_the_smallest() -> None:
    grid = grid_of(lambda *_: {"auroc": 0.9})
    assert best_of(grid, "digit-0", [1.0, 0.1, 0.01], "auroc") == 0.01
    assert best_of(grid, "digit-0", [7.0], "auroc") is None


def test_missing_cells_are_named() -> None:
    grid = grid_of(plausible)
    missing = (grid["pair"] == "digit-0") & (grid["lambda"] == 0.1) & (grid["seed"] == 3)
    assert missing_cells(grid) == []
    assert missing_cells(grid[~missing]) == [("digit-0", 0.1, 3)]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda grid: grid.drop(columns="seed"), "the grid has no column 'seed'"),
        (lambda grid: grid.iloc[:0], "the grid has no cell"),
        (lambda grid: grid.replace({"seed": {3: "three"}}),
         "the grid's column 'seed' expected numbers, got 'three'"),
        (lambda grid: pd.concat([grid, grid.iloc[[7]]]),
         "the grid has the cell mnist-fashion-mnist, lambda 0.001, seed 2 twice"),
    ],
)  # fmt: skip
def test_a_grid_that_cannot_be_is_one_line(
    spoil: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(InputError) as error:
        check(spoil(grid_of(plausible)))
    assert str(error.value) == message


def test_a_measured_number_that_is_missing_leaves_its_seed_out() -> None:
    grid = grid_of(plausible)
    grid.loc[0, "detectors.energy.auroc"] = np.nan
    check(grid)
    seeds = by_seed(grid, "mnist-fashion-mnist", 0.0, "detectors.energy.auroc").index
    assert list(seeds) == [1, 2, 3, 4]


# --- lambdas -------------------------------------------------------------------------------------


def accuracies(means: dict[float, float]) -> pd.DataFrame:
    """Return the table of a pair with a spread over seeds of 0.001 at each lambda."""
    grid = grid_of(
        lambda _, lambda_, seed: {"classification.accuracy": means[lambda_] + 0.001 * (seed - 1)},
        pairs=["digit-0"],
        lambdas=means,
        seeds=range(3),
    )
    return against_zero(grid, "digit-0", ACCURACY)


def test_accuracy_has_fallen_where_it_is_lower_by_more_than_the_spread_at_zero() -> None:
    table = accuracies({0.0: 0.99, 0.1: 0.9895, 1.0: 0.9885, 10.0: 0.98})
    assert table["fallen"].tolist() == [False, False, True, True]
    assert falls_from(table) == 1.0


def test_a_dip_that_is_made_good_is_not_where_accuracy_begins_to_fall() -> None:
    assert falls_from(accuracies({0.0: 0.99, 0.1: 0.98, 1.0: 0.99, 10.0: 0.98})) == 10.0
    assert falls_from(accuracies({0.0: 0.99, 0.1: 0.98, 1.0: 0.99})) is None


def test_the_best_lambda_of_each_detector_comes_with_its_gain_by_seed() -> None:
    grid = grid_of(
        lambda _, lambda_, seed: {
            "detectors.a.auroc": 0.9 + 0.05 * (lambda_ == 0.1) + 0.01 * seed,
            "detectors.b.auroc": 0.99 - 0.1 * lambda_,
        },
        pairs=["digit-0"],
    )
    table = best_lambdas(grid, "digit-0")
    assert table["detector"].tolist() == ["b", "a"]
    assert table["lambda"].tolist() == [0.0, 0.1]
    gain = table["gain"].iloc[1]
    assert (gain.n, gain.looks, round(gain.mean, 9)) == (5, 4, 0.05)


def in_words_of(auroc: dict[str, dict[float, float]], accuracy: dict[float, float]) -> str:
    """Return what is said of a grid of three seeds with these means; seeds differ by 0.001."""
    grid = grid_of(
        lambda _, lambda_, seed: (
            {
                "classification.accuracy": accuracy[lambda_] + 0.001 * (seed - 1),
                "classification.f1_macro": accuracy[lambda_] + 0.001 * (seed - 1),
            }
            | {
                f"detectors.{name}.auroc": of[lambda_] + 0.001 * (seed - 1)
                for name, of in auroc.items()
            }
        ),
        pairs=["digit-0"],
        lambdas=accuracy,
        seeds=range(3),
    )
    return in_words(grid, "digit-0")


def test_the_words_name_who_gains_who_loses_and_who_stays() -> None:
    text = in_words_of(
        {
            "vim": {0.0: 0.90, 1.0: 0.93, 10.0: 0.95},
            "energy": {0.0: 0.95, 1.0: 0.97, 10.0: 0.94},
            "msp": {0.0: 0.96, 1.0: 0.95, 10.0: 0.94},
            "code_knn": {0.0: 0.98, 1.0: 0.98, 10.0: 0.98},
        },
        {0.0: 0.990, 1.0: 0.992, 10.0: 0.97},
    )
    assert text.splitlines() == [
        "- Center loss raises the AUROC of 2 of 4 detectors, the largest gain first: `vim` from "
        "0.9000 to 0.9500 at 10, `energy` from 0.9500 to 0.9700 at 1.",
        "- No lambda clearly raises the AUROC of the others; best: `msp` at 0.",
        "- The AUROC is the same at every lambda for `code_knn`.",
        "- The AUROC is below that at 0 by more than its spread: `energy` from 10 on, `msp` from 1 "
        "on.",
        "- The accuracy of classification is 0.9900 at 0, highest at 1 (0.9920), and is lower by "
        "more than its spread from 10 on (0.9700 there).",
        "- The macro F1 of classification is 0.9900 at 0, highest at 1 (0.9920), and is lower by "
        "more than its spread from 10 on (0.9700 there).",
        "- 1 of the 2 gains are largest at a lambda below 10.",
    ]


def test_without_lambda_0_the_words_say_that_nothing_can_be_said() -> None:
    text = in_words_of({"vim": {1.0: 0.93, 10.0: 0.95}}, {1.0: 0.99, 10.0: 0.97})
    assert text.startswith("The effect of center loss cannot be tested")


def test_where_nothing_falls_the_words_say_so() -> None:
    text = in_words_of({"vim": {0.0: 0.90, 1.0: 0.93}}, {0.0: 0.990, 1.0: 0.992})
    assert "(0.9920), and falls by more than its spread at none of the lambdas." in text
    assert "AUROC is below" not in text


def test_a_loss_that_four_decimals_cannot_tell_is_none() -> None:
    grid = grid_of(
        lambda _, lambda_, seed: {"auroc": 1.0 - 0.0001 * (lambda_ > 0 and seed == 0)},
        pairs=["digit-0"],
        lambdas=(0.0, 1.0),
    )
    assert against_zero(grid, "digit-0", "auroc")["fallen"].tolist() == [False, False]


def test_a_lambda_with_fewer_seeds_than_others_is_named() -> None:
    grid = grid_of(plausible, pairs=["digit-0"])
    text = in_words(grid.drop(grid[(grid["lambda"] == 1) & (grid["seed"] > 2)].index), "digit-0")
    assert text.endswith("At 1 only 3 of 5 seeds have a result.")


def test_the_best_lambda_is_not_one_whose_harder_seeds_are_missing() -> None:
    """Seeds differ, lambdas do not; at 10 only the two easiest seeds ended well."""
    grid = grid_of(
        lambda _, __, seed: {"auroc": 0.9 + 0.01 * seed},
        pairs=["digit-0"],
        lambdas=(0.0, 1.0, 10.0),
    )
    grid = grid.drop(grid[(grid["lambda"] == 10) & (grid["seed"] < 3)].index)
    assert best_of(grid, "digit-0", [0.0, 1.0, 10.0], "auroc") == 0.0
