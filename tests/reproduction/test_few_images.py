"""The study of few images: its page, the guarantees in its committed table, and one draw."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from belong.calibration.sample_size import CONDITIONAL, MARGINAL, PER_CLASS
from belong.models.backbones.backbone import Backbone
from belong.runtime.storage import load_csv
from reproduction.few_images import study as study_module
from reproduction.few_images.page import BELONG, CASE, DECIDES, FDR, page, within
from reproduction.few_images.study import BATCH, BATCH_FOREIGN, COLUMNS, PAGE, TABLE, Photos

REPORT = Path(__file__).parents[2] / "reports" / "photos"
DRAWS = 100
# So many of 100 draws an event of 5% exceeds with a probability of 2.5% only.
OF_FIVE_PERCENT = 9


def rows(rates: list[float]) -> pd.DataFrame:
    """Return rows of `combined` whose range is 0.01 to 0.05, with every guarantee."""
    facts = {"classes": 5, "of_each": 20, "detector": DECIDES, "alpha": 0.025, "class": "",
             "calibration_images": 100, "fresh": 900, "exact_low": 0.02, "low": 0.01,
             "high": 0.05, "found": 0.5, "above_expected": 0.04, "accuracy_out_of_fold": 0.9,
             "accuracy_fresh": 0.92}  # fmt: skip
    guarantees = {MARGINAL: {}, CONDITIONAL: {}, PER_CLASS: {"class": "cat"}, FDR: {}}
    return pd.DataFrame(
        [
            facts | {"seed": seed, "rate": rate, "guarantee": guarantee} | values
            for seed, rate in enumerate(rates)
            for guarantee, values in guarantees.items()
        ],
        columns=COLUMNS,
    )


def test_the_draws_within_the_range_are_counted_and_those_above() -> None:
    text = page(rows([0.0, 0.01, 0.03, 0.05, 0.06]))
    assert "| 20 x 5 | combined | 2.5% | 1.0% to 5.0% | 3 of 5 | 1 | 2 | 3.0% | 6.0% |" in text
    assert "20 x 5 photos: accuracy 0.900 out of fold and 0.920 on fresh photos." in text


def test_the_page_begins_with_the_mean_rate_and_whether_it_is_as_promised() -> None:
    first = page(rows([0.0, 0.01, 0.03, 0.05, 0.06])).splitlines()[2]
    assert first.startswith("**Result.** On average, the promised rate is not always kept.")
    assert "3.0% with 20 x 5 photos (2.5% promised)" in first
    assert "above its expected range in 1 of 5 draws" in first
    first = page(rows([0.0, 0.02])).splitlines()[2]
    assert first.startswith("**Result.** On average, the promised rate is kept.")


def test_the_page_counts_the_draws_of_each_class_and_those_above_alpha() -> None:
    text = page(rows([0.0, 0.01, 0.03, 0.05, 0.06]))
    assert "| 20 x 5 | cat | 2% | 100 to 100 | 5 | 3 | 1 | 2 | 3.0% |" in text
    assert "| 20 x 5 | 2.5% | 3 of 5 | 0.2 | 3.0% | 6.0% |" in text


def test_the_page_has_the_bound_of_the_false_ones_in_a_batch() -> None:
    text = page(rows([0.0, 0.02]).assign(alpha=0.2))
    assert "| 20 x 5 | 20% | 16.0% | 1.0% | 1.0% | 50% |" in text
    assert BELONG == 1 - BATCH_FOREIGN / BATCH


@pytest.fixture(scope="module")
def study() -> pd.DataFrame:
    return load_csv(REPORT / TABLE)


def decisive(study: pd.DataFrame, guarantee: str) -> pd.DataFrame:
    return study[(study["guarantee"] == guarantee) & (study["detector"] == DECIDES)]


def test_the_committed_page_is_that_of_the_committed_table(study: pd.DataFrame) -> None:
    assert (REPORT / PAGE).read_text("utf-8") == page(study)


def test_each_case_has_a_hundred_draws(study: pd.DataFrame) -> None:
    of_each = decisive(study, MARGINAL).groupby(CASE)["seed"].nunique()
    assert of_each.to_dict() == {(1, 100): DRAWS, (2, 12): DRAWS, (5, 20): DRAWS}


def test_the_rate_of_each_detector_lies_in_its_range_in_95_of_100_draws(
    study: pd.DataFrame,
) -> None:
    on_average = study[study["guarantee"] == MARGINAL]
    for case, draws in on_average.groupby([*CASE, "detector"]):
        assert within(draws) >= 0.95 * len(draws), case
        assert draws["rate"].mean() <= draws["alpha"].to_numpy(float)[0], case


def test_the_rate_of_each_class_lies_in_its_range_in_95_of_100_draws(study: pd.DataFrame) -> None:
    for case, draws in decisive(study, PER_CLASS).groupby([*CASE, "class"]):
        assert within(draws) >= 0.95 * len(draws), case
        assert draws["rate"].mean() <= draws["alpha"].to_numpy(float)[0], case


def test_the_rate_exceeds_a_certain_alpha_in_5_of_100_draws_at_most(study: pd.DataFrame) -> None:
    for case, draws in decisive(study, CONDITIONAL).groupby(CASE):
        assert (draws["rate"] > draws["alpha"]).sum() <= OF_FIVE_PERCENT, case


def test_the_share_of_false_ones_in_a_batch_is_below_its_bound(study: pd.DataFrame) -> None:
    for case, draws in study[study["guarantee"] == FDR].groupby([*CASE, "alpha"]):
        rates, fdr = draws["rate"].to_numpy(float), draws["alpha"].to_numpy(float)[0]
        error = rates.std(ddof=1) / len(rates) ** 0.5
        assert rates.mean() <= BELONG * fdr + 2 * error, case


def test_the_first_seed_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    few = np.zeros((1, 1), np.float32)
    photos = Photos(few, few, np.zeros(1, np.int64), ("cat",))

    def no_fit(_photos: Photos, _far: Photos, of_each: int, _: Backbone, seed: int) -> object:
        seeds.append(seed)
        return [{"seed": seed, "classes": 1, "of_each": of_each}]

    monkeypatch.setattr(study_module, "photos_in", lambda *_: photos)
    monkeypatch.setattr(study_module, "drawn", no_fit)
    monkeypatch.setattr(study_module, "page", lambda _: "")
    words = [str(tmp_path), "five", "two", "far", "--draws", "2", "--first-seed", "100"]
    assert study_module.main(words) == 0
    assert seeds == [100] * 3 + [101] * 3
