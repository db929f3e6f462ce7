"""The comparison of two runs of one pipeline."""

import pytest

from belong.evaluation.run_comparison import compare, leaves

OURS = {"accuracy": 0.99, "vim": {"auroc": 0.95, "reason": "none", "is_blind": True}, "n": 3}
THEIRS = {"accuracy": 0.98, "vim": {"auroc": 0.90, "reason": "some", "is_blind": False}}


def test_the_leaves_of_nested_mappings_stand_behind_all_their_keys() -> None:
    assert dict(leaves({"a": {"b": {"c": 1}}, "d": [2]})) == {"a.b.c": 1, "d": [2]}


def test_only_numbers_that_both_runs_have_are_compared() -> None:
    differences = compare(OURS, THEIRS, spread={}).differences
    assert differences == pytest.approx({"accuracy": 0.01, "vim.auroc": 0.05})


def test_a_difference_that_is_exactly_the_spread_is_within_it() -> None:
    comparison = compare(OURS, THEIRS, spread={"accuracy": 0.01, "vim.auroc": 0.04, "other": 1.0})
    assert str(comparison) == (
        "1 of 2 metrics within the spread of seeds, largest difference 0.0500 (vim.auroc)"
    )


def test_without_a_spread_the_largest_difference_is_named_alone() -> None:
    assert str(compare(OURS, THEIRS, spread={})) == "largest difference 0.0500 (vim.auroc)"


@pytest.mark.parametrize(
    ("other", "words"), [(OURS, "all metrics are equal"), ({}, "no metric to compare")]
)
def test_where_nothing_differs_it_is_said_in_words(other: dict[str, object], words: str) -> None:
    assert str(compare(OURS, other, spread={"accuracy": 0.1})) == words
