"""Another count of threads against another seed: the rule, the page, and what was measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from belong.runtime.errors import InputError
from belong.runtime.storage import save_csv
from reproduction.grid.grid_file import GridFile
from reproduction.paper.seed_statistics import CELL, ROUNDING
from reproduction.threads.page import page, summary
from reproduction.threads.tolerance import COLUMNS, SHARE, compared, outside, tolerance
from stages import study_threads
from tests.imports import ROOT
from tests.paper_grid import grid_of, plausible
from tests.pipeline.test_stages import run

MEASURED = ROOT / "reports" / "threads"
THREADS = {"one": 1, "two": 2}


def cells_of_two_thread_counts(seeds: int = 3) -> pd.DataFrame:
    """Return cells with one thread and with two, alike, of accuracy 0.97, 0.98 and 0.99."""

    def measure(_: str, lambda_: float, seed: int) -> dict[str, float]:
        same = plausible("digit-0", lambda_, seed)
        return same | {"classification.accuracy": round(0.97 + seed / 100, 4)}

    return grid_of(measure, pairs=THREADS, lambdas=[1.0], seeds=range(seeds))


def with_value(grid: pd.DataFrame, pair: str, seed: int, metric: str, value: float) -> pd.DataFrame:
    new_grid = grid.copy()
    new_grid.loc[(grid["pair"] == pair) & (grid["seed"] == seed), metric] = value
    return new_grid


def row_of(table: pd.DataFrame, metric: str) -> dict[str, float]:
    (row,) = table[table["metric"] == metric].to_dict("records")
    return {str(key): value for key, value in row.items() if key != "metric"}


def test_the_tolerance_of_three_runs_by_hand() -> None:
    """Standard deviation 0.01; Student's t has 95% within 4.3027 at two degrees of freedom."""
    limit = tolerance(pd.Series([0.98, 0.99, 1.0]))
    assert limit == pytest.approx(4.302653 * 2**0.5 * 0.01 + 0.0001, rel=1e-6)


def test_two_more_runs_lie_within_the_tolerance_of_five_in_95_of_100_trials() -> None:
    """Of 4,000; 0.011 is three standard errors."""
    aurocs = np.random.default_rng(0).normal(0.9, 0.03, size=(4000, 7))
    limits = np.array([tolerance(pd.Series(five)) for five in aurocs[:, :5]]) - ROUNDING
    within = np.abs(aurocs[:, 5] - aurocs[:, 6]) <= limits
    assert within.mean() == pytest.approx(0.95, abs=0.011)


def test_runs_that_are_all_alike_may_differ_by_the_rounding_of_four_decimals() -> None:
    grid = cells_of_two_thread_counts()
    grid["detectors.energy.fpr95"] = 0.3
    other_grid = with_value(grid, "two", 0, "detectors.energy.fpr95", 0.3001)
    row = row_of(compared(other_grid, THREADS), "detectors.energy.fpr95")
    assert (row["sd"], row["tolerance"], row["largest"], row["within"]) == (0, 1e-4, 1e-4, 3)
    farther = with_value(grid, "two", 0, "detectors.energy.fpr95", 0.3002)
    assert outside(compared(farther, THREADS))["metric"].tolist() == ["detectors.energy.fpr95"]


def test_the_difference_is_that_of_equal_seeds() -> None:
    """0.98 became 0.95: the means are 0.01 apart, and the nearest other seed 0.02."""
    table = compared(
        with_value(cells_of_two_thread_counts(), "two", 1, "classification.accuracy", 0.95), THREADS
    )
    row = row_of(table, "classification.accuracy")
    assert list(table.columns) == COLUMNS
    assert row == {
        "threads": 1,
        "other_threads": 2,
        "seeds": 3,
        "mean": pytest.approx(0.98),
        "sd": pytest.approx(0.01),
        "tolerance": pytest.approx(0.060949, abs=1e-6),
        "within": 3,
        "largest": 0.03,
    }


def test_a_seed_that_only_one_of_them_has_is_compared_with_nothing() -> None:
    grid = cells_of_two_thread_counts()
    remaining = grid[(grid["pair"] == "one") | (grid["seed"] != 2)]
    row = row_of(compared(remaining, THREADS), "classification.accuracy")
    assert row["seeds"] == 2
    assert row["mean"] == pytest.approx(0.98)


def test_every_metric_is_there_once_for_each_other_count_of_threads() -> None:
    grid = pd.concat(
        [
            cells_of_two_thread_counts(),
            cells_of_two_thread_counts()[lambda cells: cells["pair"] == "two"].assign(pair="four"),
        ]
    )
    table = compared(grid, THREADS | {"four": 4})
    assert not table.duplicated(["other_threads", "metric"]).any()
    assert table["other_threads"].value_counts().to_dict() == {2: 1 + 3 * 3, 4: 1 + 3 * 3}


def test_the_page_counts_what_is_within_and_names_what_is_farthest_beyond() -> None:
    """Two of 30: one seed of energy's AUROC, farther than one of its FPR95."""
    other_grid = with_value(cells_of_two_thread_counts(), "two", 1, "detectors.energy.auroc", 0.5)
    other_grid = with_value(other_grid, "two", 0, "detectors.energy.fpr95", 0.1)
    other_grid = with_value(other_grid, "two", 2, "classification.accuracy", 0.9887)
    table = compared(other_grid, THREADS)
    auroc, fpr95 = (row_of(table, f"detectors.energy.{name}") for name in ("auroc", "fpr95"))
    assert auroc["largest"] / auroc["tolerance"] > fpr95["largest"] / fpr95["tolerance"] > 1
    text = summary(table)
    assert text == (
        "2 threads instead of 1, 3 seeds: the accuracy differs by at most 0.0013, AUROC "
        f"by {auroc['largest']:.4f} (`energy`), FPR95 by {fpr95['largest']:.4f} (`energy`), false "
        "rejects by 0.0000 (`energy`). Of 30 comparisons (10 metrics with each seed), 28 are "
        "within the tolerance (93.3%; expected for a different seed: 95%); the largest excess is "
        f"that of `energy` AUROC: {auroc['largest']:.4f}, with a tolerance of "
        f"{auroc['tolerance']:.4f}."
    )
    lines = page(table).splitlines()
    assert lines[2].startswith(
        "**Result.** The effect of another thread count is larger than that of another seed: 93.3%"
    )
    assert text in lines
    assert "| accuracy | 0.9800 | 0.0100 | 0.0609 | 0.0013 | 3 of 3 |" in lines
    assert [line for line in lines if line.endswith("| 2 of 3 |")] == [
        line for line in lines if line.startswith(("| `energy` AUROC", "| `energy` FPR95"))
    ]


def test_where_all_is_within_nothing_is_named() -> None:
    assert summary(compared(cells_of_two_thread_counts(), THREADS)).endswith(
        "30 are within the tolerance (100.0%; expected for a different seed: 95%)."
    )


@pytest.mark.parametrize(
    ("grid", "why"),
    [
        (
            cells_of_two_thread_counts(seeds=1),
            "classification.accuracy: one has 1 seeds, and two 1 of them; expected at ",
        ),
        (
            cells_of_two_thread_counts()[lambda cells: cells["pair"] == "one"],
            "one has 3 seeds, and two 0 of them; expected",
        ),
        (
            pd.concat(
                [
                    cells_of_two_thread_counts(),
                    cells_of_two_thread_counts().assign(**{"lambda": 0.0}),
                ]
            ),
            "expected cells of one lambda, got 0, 1",
        ),
    ],
    ids=["one seed", "one pair", "two lambdas"],
)
def test_too_few_cells_and_those_of_two_lambdas_are_refused(grid: pd.DataFrame, why: str) -> None:
    with pytest.raises(InputError, match=why):
        compared(grid, THREADS)


def plan(folder: Path, *pairs: str) -> Path:
    path = folder / "params.yaml"
    sweep = "{by_default: true, pairs: [one], lambdas: [1], seeds: [0]}"
    lines = "".join(f"  {pair}\n" for pair in pairs)
    path.write_text(f"pairs:\n{lines}sweeps:\n  all: {sweep}\n")
    return path


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (
            ("one: {threads: 1}", "two: {threads: 2, device: cpu}"),
            "pairs.two: expected only `threads`, got threads, device",
        ),
        (("one: {}", "two: {threads: 2}"), "pairs.one: expected only `threads`, got nothing"),
        (("one: {threads: 1}",), "pairs: expected at least 2 pairs to compare, got 1"),
    ],
    ids=["more", "nothing", "one pair"],
)
def test_pairs_that_do_not_differ_in_threads_alone_are_one_line(
    tmp_path: Path, pairs: tuple[str, ...], message: str
) -> None:
    save_csv(tmp_path / "grid.csv", cells_of_two_thread_counts())
    path = plan(tmp_path, *pairs)
    process = run(
        "stages.study_threads", path, *(tmp_path / name for name in ("grid.csv", "a.csv", "b.md"))
    )
    assert (process.returncode, process.stderr) == (2, f"study_threads: {path}: {message}\n")


def test_without_its_cells_the_stage_says_what_makes_them(tmp_path: Path) -> None:
    path = plan(tmp_path, "one: {threads: 1}", "two: {threads: 2}")
    files = [path, tmp_path / "grid.csv", tmp_path / "differences.csv", tmp_path / "README.md"]
    process = run("stages.study_threads", *files)
    assert (process.returncode, process.stderr) == (
        2,
        f"study_threads: {files[1]}: no such file; run `python -m reproduction.grid {path}`\n",
    )
    save_csv(files[1], cells_of_two_thread_counts())
    study_threads.main(*files)
    assert pd.read_csv(files[2])["largest"].tolist() == [0] * 10
    assert files[3].read_text(encoding="utf-8") == page(
        compared(cells_of_two_thread_counts(), THREADS)
    )


def test_the_plan_is_the_default_cell_over_five_seeds_with_either_count_of_threads() -> None:
    grid = GridFile.load(MEASURED / "params.yaml")
    assert study_threads.threads_of(MEASURED / "params.yaml") == {"threads-1": 1, "threads-2": 2}
    cells = grid.chosen([], MEASURED)
    assert {(cell.pair, cell.seed) for cell in cells} == {
        (pair, seed) for pair in grid.pairs for seed in range(5)
    }
    assert {cell.weight for cell in cells} == {1.0}


def test_two_threads_are_as_often_within_the_tolerance_as_another_seed() -> None:
    cells = pd.read_csv(MEASURED / "grid.csv")
    table = compared(cells, study_threads.threads_of(MEASURED / "params.yaml"))
    assert set(table["seeds"]) == {5}
    assert table["within"].sum() >= SHARE * table["seeds"].sum()


def test_one_thread_gave_every_number_of_the_papers_grid_again() -> None:
    """Computed on the same machine, hours and many edits of other code later."""
    ours = pd.read_csv(MEASURED / "grid.csv").query("pair == 'threads-1'")
    papers_grid = pd.read_csv(ROOT / "reports" / "paper" / "grid.csv")
    papers_grid = papers_grid[
        (papers_grid["pair"] == "mnist-fashion-mnist") & (papers_grid["lambda"] == 1)
    ]
    numbers = [column for column in papers_grid if column not in CELL and column in ours]
    assert len(ours) == 5
    assert {"classification.accuracy", "detectors.combined.auroc"} <= set(numbers)
    pd.testing.assert_frame_equal(
        ours.set_index("seed")[numbers],
        papers_grid.set_index("seed").loc[ours["seed"], numbers],
        check_exact=True,
    )
