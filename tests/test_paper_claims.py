"""The verdicts on the paper's claims, on grids made to confirm them and to refute them."""

from typing import Any

import pandas as pd
import pytest

from belong.paper.claims import CONFIRMED, NOT_CONFIRMED, NOT_TESTABLE, Claim, claims
from tests.paper_grid import LAMBDAS, PAIRS, grid_of, plausible


def claim_of(words: str, grid: pd.DataFrame) -> Claim:
    (found,) = [claim for claim in claims(grid, LAMBDAS) if words in claim.text]
    return found


def changed(column: str, values: Any, **options: Any) -> pd.DataFrame:
    """Return the plausible grid with one number as `values` (pair, lambda, seed) says."""
    return grid_of(
        lambda pair, lambda_, seed: (
            plausible(pair, lambda_, seed) | {column: values(pair, lambda_, seed)}
        ),
        **options,
    )


SEMI, SUPERVISED = "detectors.mahalanobis.auroc", "detectors.mlp_head.auroc"
HIGH = "raises the AUROC of the semi-supervised"


def test_a_rise_that_every_seed_shows_is_confirmed_and_its_fall_is_not() -> None:
    rise = changed(SEMI, lambda _, lambda_, seed: 0.9 + 0.02 * lambda_ + 0.001 * lambda_ * seed)
    fall = changed(SEMI, lambda _, lambda_, seed: 0.9 - 0.02 * lambda_ - 0.001 * lambda_ * seed)
    assert claim_of(HIGH, rise).verdict == CONFIRMED
    assert claim_of(HIGH, fall).verdict == NOT_CONFIRMED
    assert claim_of(HIGH, rise).evidence.startswith("2 of 2 differences above zero; lowest: ")
    assert claim_of(HIGH, fall).evidence.startswith("0 of 2 differences above zero, 2 below zero;")


def test_the_evidence_names_the_lowest_difference_with_its_mean_interval_and_n() -> None:
    """Differences 0.01 to 0.05, mean 0.03, sd 0.0158: 0.03 - 2.776 * 0.0158 / 5 ** 0.5."""
    grid = changed(
        SEMI,
        lambda pair, lambda_, seed: 0.9 + lambda_ * (0.01 * (seed + 1) + 0.1 * (pair != PAIRS[1])),
    )
    assert claim_of(HIGH, grid).evidence.endswith(
        "lowest: MNIST 1 to 9 against 0: AUROC of mahalanobis at 1 less that at 0, +0.0300 "
        "(+0.0104 to +0.0496, n = 5)"
    )


def test_a_rise_on_one_pair_only_is_not_confirmed() -> None:
    grid = changed(SEMI, lambda pair, lambda_, _: 0.9 + 0.02 * lambda_ * (pair == PAIRS[0]))
    assert claim_of(HIGH, grid).verdict == NOT_CONFIRMED


def test_seeds_that_differ_widely_do_not_hide_a_difference_that_all_of_them_show() -> None:
    """The comparison is paired: between seeds 0.2, between lambdas 0.01 on each seed."""
    grid = changed(SEMI, lambda _, lambda_, seed: 0.1 + 0.2 * seed + 0.01 * lambda_)
    assert claim_of(HIGH, grid).verdict == CONFIRMED


def test_a_difference_lost_between_seeds_is_not_confirmed() -> None:
    grid = changed(SEMI, lambda _, lambda_, seed: 0.9 + lambda_ * (0.05 if seed == 2 else -0.01))
    assert claim_of(HIGH, grid).verdict == NOT_CONFIRMED


def test_without_the_cells_of_a_claim_it_is_not_testable() -> None:
    grid = grid_of(plausible)
    claim = claim_of(HIGH, grid[grid["lambda"] < 1])
    assert (claim.verdict, claim.evidence) == (
        NOT_TESTABLE,
        "fewer than two seeds have both sides",
    )


def test_without_the_cells_of_one_pair_the_other_alone_does_not_confirm() -> None:
    grid = changed(SEMI, lambda _, lambda_, __: 0.9 + 0.02 * lambda_)
    left = grid[(grid["pair"] == PAIRS[0]) | (grid["lambda"] < 1)]
    claim = claim_of(HIGH, left)
    assert claim.verdict == NOT_TESTABLE
    assert claim.evidence.startswith("1 of 1 differences above zero, 1 without two seeds; ")


def test_without_lambda_zero_on_one_pair_a_best_lambda_on_the_other_does_not_confirm() -> None:
    grid = changed("classification.accuracy", lambda _, lambda_, __: 0.98 + 0.01 * lambda_)
    words = "improves the accuracy of LeNet"
    left = grid[(grid["pair"] == PAIRS[0]) | (grid["lambda"] > 0)]
    assert claim_of(words, grid).verdict == CONFIRMED
    assert claim_of(words, left).verdict == NOT_TESTABLE


def test_cells_that_are_missing_leave_the_seeds_that_both_sides_have() -> None:
    grid = changed(SEMI, lambda _, lambda_, __: 0.9 + 0.02 * lambda_)
    gone = (grid["lambda"] == 1) & (grid["seed"] == 3) | (grid["lambda"] == 0) & (grid["seed"] == 1)
    claim = claim_of(HIGH, grid[~gone])
    assert claim.verdict == CONFIRMED
    assert [comparison.n for comparison in claim.comparisons] == [3, 3]


def test_with_one_seed_nothing_is_confirmed_or_refuted() -> None:
    found = claims(grid_of(plausible, seeds=[0]), LAMBDAS)
    assert {claim.verdict for claim in found} == {NOT_TESTABLE}


def test_of_a_grid_of_unknown_pairs_nothing_is_said() -> None:
    found = claims(grid_of(plausible, pairs=["our-photos"]), LAMBDAS)
    assert {claim.verdict for claim in found} == {NOT_TESTABLE}


def test_larger_is_better_wants_every_step_to_rise() -> None:
    rising = {one: 0.9 + 0.01 * step for step, one in enumerate(LAMBDAS)}
    steady = changed(SEMI, lambda _, lambda_, __: rising[lambda_])
    dented = changed(SEMI, lambda _, lambda_, __: (rising | {0.01: 0.8})[lambda_])
    assert claim_of("The larger lambda", steady).verdict == CONFIRMED
    assert claim_of("The larger lambda", dented).verdict == NOT_CONFIRMED
    assert len(claim_of("The larger lambda", steady).comparisons) == 2 * 4


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
    ("rate", "verdict"), [(0.026, CONFIRMED), (0.034, NOT_CONFIRMED), (0.015, NOT_CONFIRMED)]
)
def test_the_papers_threshold_is_held_to_its_promise_on_both_sides(
    rate: float, verdict: str
) -> None:
    grid = changed(
        "calibration.false_reject_training", lambda _, __, seed: rate + 0.0001 * (seed - 2)
    )
    assert claim_of("97.5th percentile", grid).verdict == verdict


@pytest.mark.parametrize(
    ("f1", "verdict"), [(0.9880, CONFIRMED), (0.9930, NOT_CONFIRMED), (0.9800, NOT_CONFIRMED)]
)
def test_the_f1_of_classification_is_held_to_the_papers_range(f1: float, verdict: str) -> None:
    grid = changed("classification.f1_macro", lambda _, __, seed: f1 + 0.0001 * (seed - 2))
    assert claim_of("The F1 of classification", grid).verdict == verdict


def test_the_best_of_four_lambdas_needs_more_than_chance_gives_the_best_of_four() -> None:
    """With differences of 1 to 5 (t = 4.2, p = 0.013) one look is enough, four are not."""
    grid = changed(
        "classification.accuracy",
        lambda _, lambda_, seed: 0.98 + (0.001 * (seed + 1) if lambda_ == 0.1 else 0),
    )
    claim = claim_of("improves the accuracy of LeNet", grid)
    assert [comparison.looks for comparison in claim.comparisons] == [4, 4]
    assert claim.verdict == NOT_CONFIRMED


@pytest.mark.parametrize("best", LAMBDAS)
def test_the_recommended_lambdas_are_confirmed_only_where_one_of_them_is_best(best: float) -> None:
    grid = changed(
        "detectors.mahalanobis.f1_normal", lambda _, lambda_, __: 0.9 + 0.05 * (lambda_ == best)
    )
    verdict = claim_of("The best lambda for the semi-supervised", grid).verdict
    assert verdict == (CONFIRMED if best in (0.1, 1.0) else NOT_CONFIRMED)


def test_the_supervised_detector_is_better_only_if_it_is_at_every_lambda() -> None:
    better = changed(SUPERVISED, lambda _, __, ___: 1.0)
    once_worse = changed(SUPERVISED, lambda _, lambda_, __: 0.5 if lambda_ == 0.01 else 1.0)
    words = "better than the semi-supervised"
    assert claim_of(words, better).verdict == CONFIRMED
    assert claim_of(words, once_worse).verdict == NOT_CONFIRMED


@pytest.mark.parametrize(("loss", "verdict"), [(0.2, CONFIRMED), (0.0, NOT_CONFIRMED)])
def test_the_harm_on_photos_is_compared_once_photos_have_been_run(
    loss: float, verdict: str
) -> None:
    words = "greater for photos"
    assert claim_of(words, grid_of(plausible)).verdict == NOT_TESTABLE
    grid = changed(
        SUPERVISED,
        lambda pair, lambda_, _: 0.99 - lambda_ * (loss if "imagenet" in pair else 0.01),
        pairs=[*PAIRS, "imagenet30-a"],
    )
    assert claim_of(words, grid).verdict == verdict
