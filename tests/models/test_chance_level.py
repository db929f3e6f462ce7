"""The accuracy of guessing, and which predictions are better."""

import pytest
import torch
from scipy.stats import fisher_exact, hypergeom
from torch import Tensor

from belong.models.chance_level import evenly_spaced, guessing_bound, is_at_chance


def labels_of_counts(*counts: int) -> Tensor:
    """Return `counts` labels of the classes 0, 1, …"""
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))


@pytest.mark.parametrize("counts", [(40, 40), (76, 4), (2,) * 40, (1, 5, 100)], ids=str)
def test_naming_the_largest_class_always_is_chance_and_naming_each_right_is_not(
    counts: tuple[int, ...],
) -> None:
    labels = labels_of_counts(*counts)
    always = torch.full_like(labels, int(labels.mode().values))
    assert is_at_chance(always, labels)
    assert guessing_bound(always, labels) == max(counts) / sum(counts)
    assert not is_at_chance(labels, labels)


def test_two_of_four_rare_images_found_among_eighty_are_more_than_chance() -> None:
    """A binomial bound at the share of the large class, 76 of 80, would call 78 of 80 chance."""
    labels = labels_of_counts(76, 4)
    predictions = labels.clone()
    predictions[-2:] = 0
    assert fisher_exact([[76, 0], [2, 2]]).pvalue < 0.01
    assert not is_at_chance(predictions, labels)


def test_the_bound_of_two_classes_is_that_of_the_hypergeometric_law() -> None:
    """Of 100 images 50 are each class and 50 are each prediction: hits are twice those of one."""
    labels = labels_of_counts(50, 50)
    predictions = labels.roll(20)
    exact = 2 * hypergeom(100, 50, 50).ppf(0.99) / 100
    assert guessing_bound(predictions, labels) == pytest.approx(exact, abs=0.02)


def test_few_networks_that_guess_count_as_better_than_guessing(generator: torch.Generator) -> None:
    labels = labels_of_counts(*(8,) * 10)
    guesses = torch.randint(0, 10, (300, 80), generator=generator)
    better = sum(not is_at_chance(predictions, labels) for predictions in guesses)
    assert better <= 9  # 3 are expected; more than 9 has a probability of 0.001


@pytest.mark.parametrize("counts", [(2, 2), (1,), (99, 1), (5,)], ids=str)
def test_where_even_flawless_predictions_would_tell_nothing_nothing_is_at_chance(
    counts: tuple[int, ...],
) -> None:
    """Of (0, 0, 1, 1) there are 6 orders: one in six is flawless by chance."""
    labels = labels_of_counts(*counts)
    assert not is_at_chance(torch.zeros_like(labels), labels)


@pytest.mark.parametrize(
    ("n", "most", "rows"), [(3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (10, 4, [0, 2, 5, 7])]
)
def test_rows_are_spread_over_all_of_them(n: int, most: int, rows: list[int]) -> None:
    assert evenly_spaced(n, most).tolist() == rows
