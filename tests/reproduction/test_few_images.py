"""The page of the study of few images."""

import pandas as pd

from reproduction.few_images.page import DECIDES, page


def rows(rates: list[float]) -> pd.DataFrame:
    """Return rows of `combined` whose range is 0.01 to 0.05."""
    facts = {"classes": 5, "of_each": 20, "alpha": 0.025, "fresh": 900, "low": 0.01, "high": 0.05,
             "accuracy_out_of_fold": 0.9, "accuracy_fresh": 0.92, "detector": DECIDES}  # fmt: skip
    return pd.DataFrame(
        [facts | {"seed": seed, "false_reject": rate} for seed, rate in enumerate(rates)]
    )


def test_the_draws_within_the_range_are_counted_and_those_above() -> None:
    said = page(rows([0.0, 0.01, 0.03, 0.05, 0.06]))
    assert "| 20 x 5 | combined | 2.5% | 1.0% to 5.0% | 3 of 5 | 1 | 3.0% | 6.0% |" in said
    assert "accuracy 0.900 out of fold and 0.920 on fresh photos" in said
