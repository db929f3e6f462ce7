"""The verdicts on the paper's claims, on grids made to confirm them and to refute them."""

from typing import Any

import pandas as pd
import pytest
from scipy.stats import ttest_ind

from reproduction.paper.claims import CONFIRMED, NOT_CONFIRMED, NOT_TESTABLE, Claim, claims
from tests.paper_grid import LAMBDAS, PAIRS, grid_of, plausible, sets_of


def claim_of(words: str, grid: pd.DataFrame, sets: pd.DataFrame | None = None) -> Claim:
    others = sets_of(grid) if sets is None else sets
    (match,) = [claim for claim in claims(grid, LAMBDAS, others) if words in claim.text]
    return match


def grid_with(column: str, values: Any, **options: Any) -> pd.DataFrame:
    """Return the plausible grid with one number as `values` (pair, lambda, seed) says."""
    return grid_of(
        lambda pair, lambda_, seed: (
            plausible(pair, lambda_, seed) | {column: values(pair, lambda_, seed)}
        ),
        **options,
    )


SEMI, SUPERVISED = "detectors.mahalanobis.auroc", "detectors.mlp_head.auroc"
FPR = "detectors.mahalanobis.fpr95"
HIGH = "raises the AUROC of the semi-supervised"


def test_a_rise_that_every_seed_shows_is_confirmed_and_its_fall_is_not() -> None:
    rise = grid_with(SEMI, lambda _, lambda_, seed: 0.9 + 0.02 * lambda_ + 0.001 * lambda_ * seed)
    fall = grid_with(SEMI, lambda _, lambda_, seed: 0.9 - 0.02 * lambda_ - 0.001 * lambda_ * seed)
    assert claim_of(HIGH, rise).verdict == CONFIRMED
    assert claim_of(HIGH, fall).verdict == NOT_CONFIRMED
    assert claim_of(HIGH, rise).evidence.startswith("2 of 2 differences above zero; lowest: ")
    assert claim_of(HIGH, fall).evidence.startswith("0 of 2 differences above zero, 2 below zero;")


def test_the_evidence_names_the_lowest_difference_with_its_mean_interval_and_n() -> None:
    """Differences 0.01 to 0.05, mean 0.03, sd 0.0158: 0.03 - 2.776 * 0.0158 / 5 ** 0.5 - 0.0001."""
    grid = grid_with(
        SEMI,
        lambda pair, lambda_, seed: 0.9 + lambda_ * (0.01 * (seed + 1) + 0.1 * (pair != PAIRS[1])),
    )
    assert claim_of(HIGH, grid).evidence.endswith(
        "lowest: MNIST 1 to 9 against 0: AUROC of mahalanobis at 1 less that at 0, +0.0300 "
        "(+0.0103 to +0.0497, n = 5)"
    )


def test_a_rise_on_one_pair_only_is_not_confirmed() -> None:
    grid = grid_with(SEMI, lambda pair, lambda_, _: 0.9 + 0.02 * lambda_ * (pair == PAIRS[0]))
    assert claim_of(HIGH, grid).verdict == NOT_CONFIRMED


def test_seeds_that_differ_widely_do_not_hide_a_difference_that_all_of_them_show() -> None:
    """The comparison is paired: between seeds 0.2, between lambdas 0.01 on each seed."""
    grid = grid_with(SEMI, lambda _, lambda_, seed: 0.1 + 0.2 * seed + 0.01 * lambda_)
    assert claim_of(HIGH, grid).verdict == CONFIRMED


def test_a_difference_lost_between_seeds_is_not_confirmed() -> None:
    grid = grid_with(SEMI, lambda _, lambda_, seed: 0.9 + lambda_ * (0.05 if seed == 2 else -0.01))
    assert claim_of(HIGH, grid).verdict == NOT_CONFIRMED


def test_without_the_cells_of_a_claim_it_is_not_testable() -> None:
    grid = grid_of(plausible)
    claim = claim_of(HIGH, grid[grid["lambda"] < 1])
    assert (claim.verdict, claim.evidence) == (
        NOT_TESTABLE,
        "fewer than two seeds with both sides",
    )


def test_without_the_cells_of_one_pair_the_other_alone_does_not_confirm() -> None:
    grid = grid_with(SEMI, lambda _, lambda_, __: 0.9 + 0.02 * lambda_)
    remaining = grid[(grid["pair"] == PAIRS[0]) | (grid["lambda"] < 1)]
    claim = claim_of(HIGH, remaining)
    assert claim.verdict == NOT_TESTABLE
    expected = "1 of 1 differences above zero, 1 with fewer than two seeds; "
    assert claim.evidence.startswith(expected)


def test_without_lambda_zero_on_one_pair_a_best_lambda_on_the_other_does_not_confirm() -> None:
    grid = grid_with("classification.accuracy", lambda _, lambda_, __: 0.98 + 0.01 * lambda_)
    words = "improves the accuracy of LeNet"
    remaining = grid[(grid["pair"] == PAIRS[0]) | (grid["lambda"] > 0)]
    assert claim_of(words, grid).verdict == CONFIRMED
    assert claim_of(words, remaining).verdict == NOT_TESTABLE


def test_cells_that_are_missing_leave_the_seeds_that_both_sides_have() -> None:
    grid = grid_with(SEMI, lambda _, lambda_, __: 0.9 + 0.02 * lambda_)
    missing = (grid["lambda"] == 1) & (grid["seed"] == 3) | (grid["lambda"] == 0) & (
        grid["seed"] == 1
    )
    claim = claim_of(HIGH, grid[~missing])
    assert claim.verdict == CONFIRMED
    assert [comparison.n for comparison in claim.comparisons] == [3, 3]


def test_with_one_seed_nothing_is_confirmed_or_refuted() -> None:
    grid = grid_of(plausible, seeds=[0])
    all_claims = claims(grid, LAMBDAS, sets_of(grid))
    assert {claim.verdict for claim in all_claims} == {NOT_TESTABLE}


def test_a_grid_of_unknown_pairs_is_not_testable() -> None:
    grid = grid_of(plausible, pairs=["our-photos"])
    all_claims = claims(grid, LAMBDAS, sets_of(grid))
    assert {claim.verdict for claim in all_claims} == {NOT_TESTABLE}


def test_larger_is_better_needs_every_step_of_auroc_and_of_accuracy_to_rise() -> None:
    rising = {one: 0.9 + 0.01 * step for step, one in enumerate(LAMBDAS)}

    def grid(aurocs: dict[float, float], specificities: dict[float, float]) -> pd.DataFrame:
        return grid_of(
            lambda pair, lambda_, seed: (
                plausible(pair, lambda_, seed)
                | {SEMI: aurocs[lambda_], FPR: 1 - specificities[lambda_]}
            )
        )

    dented = rising | {0.01: 0.8}
    words = "The larger lambda"
    assert claim_of(words, grid(rising, rising)).verdict == CONFIRMED
    assert claim_of(words, grid(dented, rising)).verdict == NOT_CONFIRMED
    assert claim_of(words, grid(rising, dented)).verdict == NOT_CONFIRMED
    assert len(claim_of(words, grid(rising, rising)).comparisons) == 2 * 2 * 4


@pytest.mark.parametrize(("loss", "verdict"), [(0.004, CONFIRMED), (0.006, NOT_CONFIRMED)])
def test_the_cost_of_center_loss_is_held_to_what_the_paper_states(
    loss: float, verdict: str
) -> None:
    def numbers(pair: str, lambda_: float, seed: int) -> dict[str, float]:
        worse = {
            f"classification.{name}": 0.99 - loss * lambda_ for name in ("accuracy", "f1_macro")
        }
        return plausible(pair, lambda_, seed) | worse

    assert claim_of("costs at most", grid_of(numbers)).verdict == verdict


@pytest.mark.parametrize(
    ("f1", "verdict"), [(0.9880, CONFIRMED), (0.9930, NOT_CONFIRMED), (0.9800, NOT_CONFIRMED)]
)
def test_the_f1_of_classification_is_held_to_the_papers_range(f1: float, verdict: str) -> None:
    grid = grid_with("classification.f1_macro", lambda _, __, seed: f1 + 0.0001 * (seed - 2))
    assert claim_of("The F1 of classification", grid).verdict == verdict


def test_the_best_of_four_lambdas_needs_more_than_chance_gives_the_best_of_four() -> None:
    """With differences of 1 to 5 (t = 4.2, p = 0.013) one look is enough, four are not."""
    grid = grid_with(
        "classification.accuracy",
        lambda _, lambda_, seed: 0.98 + (0.001 * (seed + 1) if lambda_ == 0.1 else 0),
    )
    claim = claim_of("improves the accuracy of LeNet", grid)
    assert [comparison.looks for comparison in claim.comparisons] == [4, 4]
    assert claim.verdict == NOT_CONFIRMED


@pytest.mark.parametrize("best", LAMBDAS)
def test_the_recommended_lambdas_are_confirmed_only_where_one_of_them_is_best(best: float) -> None:
    grid = grid_with(
        "detectors.mahalanobis.fpr95", lambda _, lambda_, __: 0.1 - 0.05 * (lambda_ == best)
    )
    verdict = claim_of("The best lambda for the semi-supervised", grid).verdict
    assert verdict == (CONFIRMED if best in (0.1, 1.0) else NOT_CONFIRMED)


def test_the_supervised_detector_is_better_only_if_it_is_at_every_lambda() -> None:
    better = grid_with(SUPERVISED, lambda _, __, ___: 1.0)
    once_worse = grid_with(SUPERVISED, lambda _, lambda_, __: 0.5 if lambda_ == 0.01 else 1.0)
    words = "better than the semi-supervised"
    assert claim_of(words, better).verdict == CONFIRMED
    assert claim_of(words, once_worse).verdict == NOT_CONFIRMED


def test_how_nearly_a_threshold_was_met_decides_no_claim() -> None:
    """A detector that is better in all seeds, and that rejects too many or too few of them."""

    def cell(pair: str, lambda_: float, seed: int) -> dict[str, float]:
        luck = 0.02 * (seed % 2)
        return plausible(pair, lambda_, seed) | {
            "detectors.mlp_head.false_reject": 0.015 + luck,
            "detectors.mlp_head.f1_normal": 0.992 - luck / 2,
            "detectors.mahalanobis.false_reject": 0.025,
            "detectors.mahalanobis.f1_normal": 0.987,
        }

    claim = claim_of("better than the semi-supervised", grid_of(cell))
    assert claim.verdict == CONFIRMED
    assert not [one.what for one in claim.comparisons if "F1" in one.what]


@pytest.mark.parametrize(
    "words",
    ["best F1 without center loss", "more than 0.03", "costs it 0.19", "0.8695 and 0.9913"],
)
def test_a_claim_of_f1_at_a_threshold_that_no_cell_has_is_not_testable(words: str) -> None:
    claim = claim_of(words, grid_of(plausible))
    assert claim.verdict == NOT_TESTABLE
    assert "no cell has its threshold" in claim.evidence


def test_a_step_of_the_last_decimal_is_no_proof() -> None:
    step = grid_with(SEMI, lambda _, lambda_, __: 0.9998 + 0.0001 * (lambda_ == 1))
    assert claim_of(HIGH, step).verdict == NOT_CONFIRMED


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ({"rotated": 0.2, "uniform_noise": -0.0001}, CONFIRMED),
        ({"rotated": 0.0, "uniform_noise": -0.0001}, NOT_CONFIRMED),
    ],
)
def test_the_choice_of_anomalies_matters_if_some_other_set_is_found_worse(
    losses: dict[str, float], verdict: str
) -> None:
    grid = grid_of(plausible)
    claim = claim_of("the choice of its anomalies", grid, sets_of(grid, losses))
    assert claim.verdict == verdict
    assert len(claim.comparisons) == 2 * 2  # pairs, lambdas
    assert {one.looks for one in claim.comparisons} == {2}  # the worse one of two sets


@pytest.mark.parametrize(
    ("better", "verdict"), [(["b"], CONFIRMED), ([], NOT_CONFIRMED), (["a", "b", "c"], CONFIRMED)]
)
def test_one_of_three_photo_pairs_is_enough_for_the_claim_about_photos(
    better: list[str], verdict: str
) -> None:
    grid = grid_with(
        "classification.accuracy",
        lambda pair, lambda_, _: 0.9 + 0.05 * (lambda_ == 0.1 and pair[-1] in better),
        pairs=[f"imagenet30-{letter}" for letter in "abc"],
    )
    claim = claim_of("results for ImageNet-30", grid)
    assert claim.verdict == verdict
    assert [one.looks for one in claim.comparisons] == [4 * 3]


@pytest.mark.parametrize(("loss", "verdict"), [(0.2, CONFIRMED), (0.0, NOT_CONFIRMED)])
def test_the_harm_on_photos_is_compared_once_photos_have_been_run(
    loss: float, verdict: str
) -> None:
    words = "greater for photos"
    assert claim_of(words, grid_of(plausible)).verdict == NOT_TESTABLE
    grid = grid_with(
        SUPERVISED,
        lambda pair, lambda_, _: 0.99 - lambda_ * (loss if "imagenet" in pair else 0.01),
        pairs=[*PAIRS, "imagenet30-a"],
    )
    assert claim_of(words, grid).verdict == verdict


def test_pairs_of_data_sets_are_compared_without_pairing_their_seeds() -> None:
    """Losses that rise with the seed on photos and fall with it on digits."""
    grid = grid_with(
        SUPERVISED,
        lambda pair, lambda_, seed: (
            0.99 - lambda_ * (0.03 + 0.01 * seed if "imagenet" in pair else 0.05 - 0.01 * seed)
        ),
        pairs=[PAIRS[0], "imagenet30-a"],
    )
    photos, digits = [0.03, 0.04, 0.05, 0.06, 0.07], [0.05, 0.04, 0.03, 0.02, 0.01]
    expected = ttest_ind(photos, digits, equal_var=False).confidence_interval()
    (comparison,) = claim_of("greater for photos", grid).comparisons
    assert comparison.interval == pytest.approx((expected.low - 1e-4, expected.high + 1e-4))
