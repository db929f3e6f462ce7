"""The generated parts of README.md and docs/ are those of the pipeline.

The committed pages are held to the committed results, so that experiments in the working tree,
which change reports/ and params.yaml, do not matter. Nor do results that were committed with other
parameters since the pages were: they are held to those of their own commit.
"""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from scipy.stats import betabinom

from belong.calibration.coverage import expected, outside
from belong.detectors.registry import DETECTORS
from belong.evaluation.evaluate import compared
from reproduction.clean_study.page import summary as of_cleaning
from reproduction.grid.cells import Cell
from reproduction.grid.freshness import Currency
from reproduction.grid.grid_file import GridFile
from reproduction.grid.repository import Repository
from reproduction.markers import generated
from reproduction.pipeline_figure import drawing, stages_of
from reproduction.readme import (
    detector_numbers,
    few_results,
    photo_results,
    promised,
    results,
    seeds,
    stages,
)
from reproduction.threads.page import summary
from tests.imports import ROOT
from tests.paper_grid import grid_of, plausible

PAGES = ("README.md", "docs/results.md")


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def commit_of_the_results(folder: Path) -> str:
    """Return the commit whose results the pages show."""
    last = git(folder, "log", "-1", "--format=%H", "--", *PAGES).strip()
    params = [git(folder, "show", f"{commit}:params.yaml") for commit in ("HEAD", last)]
    now, params_then = (YAML(typ="safe", pure=True).load(text) for text in params)
    return "HEAD" if now == params_then else last


COMMIT = commit_of_the_results(ROOT)


def committed(path: str) -> str:
    return git(ROOT, "show", f"{COMMIT}:{path}")


ROUNDING = 0.0001  # the numbers have four decimals
NUMBERS = json.loads(committed("reports/metrics_all.json"))


def part(page: str, name: str) -> str:
    return generated(committed(page), name)


def committed_table(path: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(committed(path)))


def test_results_of_other_parameters_do_not_have_to_stand_in_the_readme(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    commits = []
    for number, (params, readme) in enumerate(
        (("seed: 0", "a"), ("seed: 0 #", "a"), ("seed: 1", "a"), ("seed: 1", "b"))
    ):
        (tmp_path / "params.yaml").write_text(params)
        (tmp_path / "README.md").write_text(readme)
        (tmp_path / "results").write_text(str(number))
        git(tmp_path, "add", ".")
        git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all")
        commits.append(
            (commit_of_the_results(tmp_path), git(tmp_path, "rev-parse", "HEAD").strip())
        )
    commit_names, heads = zip(*commits, strict=True)
    assert commit_names == ("HEAD", "HEAD", heads[0], "HEAD")


def test_the_tables_of_results_are_made_from_the_committed_metrics() -> None:
    params = YAML(typ="safe", pure=True).load(committed("params.yaml"))
    assert part("README.md", "results") == few_results(NUMBERS, params), "make readme"
    assert part("docs/results.md", "all-results") == results(NUMBERS, params), "make readme"


def test_the_readme_has_five_detectors_with_the_numbers_of_the_long_table() -> None:
    params = YAML(typ="safe", pure=True).load(committed("params.yaml"))
    rows = [line.strip("| ").split(" | ") for line in few_results(NUMBERS, params).splitlines()[4:]]
    assert len(rows) == 5
    for name, _, *values in rows:
        measured = NUMBERS["detectors"][name.strip("`")]
        keys = ("auroc", "auroc_low", "auroc_high", "fpr95", "false_reject")
        numbers = [float(number) for value in values for number in re.findall(r"[\d.]+", value)]
        assert numbers == [round(measured[key], 4) for key in keys]


def test_the_results_on_photos_are_made_from_the_committed_cells() -> None:
    cells = [committed_table(f"reports/photos/{name}.csv") for name in ("frozen", "full_size")]
    assert part("README.md", "photo-results") == photo_results(cells), "make readme"
    clothes = cells[1]["detectors.combined.auroc"]
    cell = f"| {clothes.mean():.4f} ± {clothes.std():.4f} ({len(clothes)}) |"
    assert cell in photo_results(cells).splitlines()[2]


def test_the_numbers_of_the_detectors_are_made_from_the_committed_metrics() -> None:
    table = detector_numbers(NUMBERS, committed_table("reports/plots/anomaly_sets.csv"))
    assert part("docs/detectors.md", "detector-numbers") == table, "make readme"


def test_every_detector_of_the_pipeline_has_its_row_with_a_formula() -> None:
    page = committed("docs/detectors.md").partition("## The detectors of the pipeline")[2]
    rows = [line for line in page.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    names = {name for row in rows for name in re.findall("`([a-z_]+)`", row.split(" | ")[0])}
    assert names == {*DETECTORS, "combined"}


def committed_grid() -> pd.DataFrame:
    return committed_table("reports/paper/grid.csv")


def test_the_tables_over_seeds_are_made_from_the_committed_grid() -> None:
    lambda_ = YAML(typ="safe", pure=True).load(committed("params.yaml"))["lambda"]
    assert part("docs/results.md", "seeds") == seeds(committed_grid(), lambda_), "make readme"


def test_what_another_count_of_threads_changes_is_made_from_the_committed_differences() -> None:
    differences = committed_table("reports/threads/differences.csv")
    assert part("docs/reproducibility.md", "threads") == summary(differences), "make readme"


def test_what_clean_finds_is_made_from_the_committed_draws() -> None:
    draws = committed_table("reports/photos/cleaning.csv")
    assert part("docs/commands/clean.md", "cleaning") == of_cleaning(draws), "make readme"


def test_the_tables_over_seeds_hold_each_pair_at_the_lambda_with_the_best_detector_first() -> None:
    tables = seeds(grid_of(plausible, lambdas=(0.0, 1.0)), 1.0).split("\n\n")
    accuracies = [plausible("digit-0", 1.0, seed)["classification.accuracy"] for seed in range(5)]
    mean, sd = np.mean(accuracies), np.std(accuracies, ddof=1)
    assert tables[2] == (
        "MNIST 1 to 9 against 0, lambda 1, mean ± standard deviation (number of seeds): "
        f"accuracy {mean:.4f} ± {sd:.4f} (5)."
    )
    rows = [line.split(" | ") for line in tables[3].splitlines()[2:]]
    assert [row[0].strip("| ") for row in rows] == ["`mlp_head`", "`energy`", "`mahalanobis`"]


def test_a_detector_that_joined_when_a_pair_had_been_run_is_a_dash_below_the_others_there() -> None:
    grid = grid_of(plausible, lambdas=(1.0,))
    energy = grid.filter(like="detectors.energy.").where(grid["pair"] != "digit-0")
    joined = energy.rename(columns=lambda column: column.replace("energy", "aardvark"))
    parts = seeds(pd.concat([grid, joined], axis=1), 1.0).split("\n\n")
    last = parts[3].splitlines()[-1]
    assert parts[2].startswith("MNIST 1 to 9 against 0, ")
    assert last.split(" | ") == ["| `aardvark`", "-", "-", "- |"]


def test_a_pair_that_was_not_run_at_the_lambda_has_no_table() -> None:
    grid = grid_of(plausible, lambdas=(0.0, 1.0), seeds=range(2))
    remaining = grid[(grid["pair"] != "digit-0") | (grid["lambda"] == 0)]
    assert "MNIST 1 to 9" not in seeds(remaining, 1.0)


def test_the_default_cell_of_the_grid_is_the_committed_run() -> None:
    """Otherwise grid.csv is of other code or other parameters: run the grid again."""
    params = YAML(typ="safe", pure=True).load(committed("params.yaml"))
    pair = "-".join(Path(params[kind]["path"]).name for kind in ("normal", "anomaly"))
    grid = committed_grid()
    cells = grid[(grid["pair"] == pair) & (grid["lambda"] == params["lambda"])]
    cell = cells[cells["seed"] == params["seed"]]
    if cell.empty:  # parameters of one's own
        pytest.skip(f"the grid has no cell {pair}, lambda {params['lambda']}, {params['seed']}")
    numbers = dict(numbers_of(NUMBERS))
    assert numbers.keys() <= set(grid.columns)
    assert cell.iloc[0][list(numbers)].to_dict() == numbers


@pytest.mark.pipeline
def test_the_cells_of_the_grid_are_of_the_present_code() -> None:
    """Otherwise run `make grid`; after a refactoring, a sample may confirm them: --confirm."""
    grid = GridFile.load(ROOT / "reports/paper/params.yaml")
    currency = Currency(Repository(ROOT), COMMIT, grid.pairs)
    cells = committed_table("reports/paper/cells.csv").astype({"lambda": float})
    stale = [
        cell.name
        for *key, sha256 in cells[["pair", "lambda", "seed", "sha256"]].itertuples(index=False)
        if currency.fingerprint(cell := Cell(*key)) != sha256
    ]
    assert stale == []


def numbers_of(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of nested dictionaries with its dotted path; texts and nulls have none."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from numbers_of(one, f"{path}.{key}" if path else str(key))
    elif isinstance(value, int | float):
        yield path, value


@pytest.mark.pipeline
def test_the_pipeline_is_drawn_as_dvc_draws_it(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = subprocess.run(
        ["dvc", "dag", "--dot"],
        cwd=tmp_path / "clone",
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert committed("docs/pipeline.svg") == drawing(process.stdout), "make readme"


def test_the_figure_has_the_arrows_that_no_other_path_implies() -> None:
    graph = stages_of(
        'strict digraph {\n"a";\n"b";\n"c";\n"d";\n"a" -> "b";\n"b" -> "c";\n"a" -> "c";\n}'
    )
    assert (sorted(graph), sorted(graph.edges)) == (list("abcd"), [("a", "b"), ("b", "c")])


def test_every_stage_stands_in_the_table_of_stages() -> None:
    assert part("docs/pipeline.md", "stages") == stages(ROOT / "dvc.yaml", ROOT / "data/dvc.yaml")


def test_the_example_of_metrics_diff_starts_from_the_committed_metrics() -> None:
    rows = re.findall(
        r"reports/metrics\.json +([\w.]+) +([\d.]+) ", part("docs/pipeline.md", "diff")
    )
    assert len(rows) >= 3
    for key, number in rows:
        value: object = compared(NUMBERS)
        for word in key.split("."):
            assert isinstance(value, dict)
            value = value[word]
        assert float(number) == value, key


def run_with(rates: dict[str, float]) -> dict[str, Any]:
    """Return numbers of a run: 1000 images calibrate, 500 half of them, and 1000 are tested."""
    return {
        "data": {"normal_test": 1000, "anomaly_test": 10},
        "classification": {"accuracy": 0.9, "n": 1000},
        "calibration": {
            "alpha": 0.025,
            "n_calibration": 1000,
            "false_reject_training": 0.051,
            "false_reject_calibrated": 0.026,
            "false_reject_expected_low": 0.0123,
            "false_reject_expected_high": 0.0412,
        },
        "detectors": {name: {"false_reject": rate} for name, rate in rates.items()}
        | {"mlp_head": {"auroc": None, "reason": "no anomaly"}},
    }


def test_a_detector_is_held_to_the_range_of_as_many_images_as_calibrated_it() -> None:
    """Of 1000 images, 13 to 40 are expected after 1000 have calibrated, and 10 to 42 after 500."""
    numbers = run_with({"energy": 0.0410, "combined": 0.0410, "vim": 0.0250, "msp": 0.0100})
    assert outside(numbers) == {"energy": 0.041, "msp": 0.01}
    for name, n in (("energy", 1000), ("combined", 500)):
        rank = int(0.025 * (n + 1))
        law = betabinom(1000, rank, n + 1 - rank)
        low, high = expected(name, numbers["calibration"], 1000)
        assert law.cdf(round(1000 * low) - 1) < 0.025 <= law.cdf(round(1000 * low))
        assert law.cdf(round(1000 * high) - 1) < 0.975 <= law.cdf(round(1000 * high))


def test_the_results_say_how_many_detectors_keep_the_promise_and_names_the_others() -> None:
    text = promised(run_with({"energy": 0.041, "combined": 0.041, "vim": 0.025}), "calibrated")
    assert "2 of 3 detectors are within their range; outside it are `energy` (4.1%)." in text
    all_within = promised(run_with({"vim": 0.025}), "calibrated")
    assert "1 of 1 detectors are within their range. " in all_within


def test_with_the_papers_threshold_in_force_the_results_promise_nothing() -> None:
    text = promised(run_with({"vim": 0.025}), "training")
    assert "promises nothing for new ones: `mahalanobis` rejects 5.1%." in text
    assert "within their range" not in text
