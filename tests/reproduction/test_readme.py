"""What the README says is what the pipeline made.

The committed README is held to the committed results, so that experiments in the working tree,
which change reports/ and params.yaml, do not matter. Nor do results that were committed with other
parameters since the README was: it is held to those of its own commit.
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
from ruamel.yaml import YAML
from scipy.stats import betabinom

from belong.calibration.coverage import expected, outside
from belong.evaluation.evaluate import compared
from reproduction.clean_study.page import summary as of_cleaning
from reproduction.paper.lambda_sweep import detectors
from reproduction.readme import promised, results, seeds
from reproduction.threads.page import summary
from tests.imports import ROOT
from tests.paper_grid import grid_of, plausible


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def commit_of_the_results(folder: Path) -> str:
    """Return the commit whose results the README shows."""
    last = git(folder, "log", "-1", "--format=%H", "--", "README.md").strip()
    params = [git(folder, "show", f"{commit}:params.yaml") for commit in ("HEAD", last)]
    now, then = (YAML(typ="safe", pure=True).load(text) for text in params)
    return "HEAD" if now == then else last


COMMIT = commit_of_the_results(ROOT)


def committed(path: str) -> str:
    return git(ROOT, "show", f"{COMMIT}:{path}")


ROUNDING = 0.0001  # the numbers have four decimals
README = committed("README.md")
NUMBERS = json.loads(committed("reports/metrics_all.json"))


def generated(name: str) -> str:
    found = re.search(
        rf"<!-- {name}: generated -->\n(.*?)\n<!-- {name}: end -->", README, re.DOTALL
    )
    assert found, f"README.md has no part {name}"
    return found[1]


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
    found, heads = zip(*commits, strict=True)
    assert found == ("HEAD", "HEAD", heads[0], "HEAD")


def test_the_table_of_results_is_made_from_the_committed_metrics() -> None:
    params = YAML(typ="safe", pure=True).load(committed("params.yaml"))
    assert generated("results") == results(NUMBERS, params), "make readme"


def committed_grid() -> pd.DataFrame:
    return pd.read_csv(io.StringIO(committed("reports/paper/grid.csv")))


def test_the_tables_over_seeds_are_made_from_the_committed_grid() -> None:
    lambda_ = YAML(typ="safe", pure=True).load(committed("params.yaml"))["lambda"]
    assert generated("seeds") == seeds(committed_grid(), lambda_), "make readme"


def test_what_another_count_of_threads_changes_is_made_from_the_committed_differences() -> None:
    differences = pd.read_csv(io.StringIO(committed("reports/threads/differences.csv")))
    assert generated("threads") == summary(differences), "make readme"


def test_what_clean_finds_is_made_from_the_committed_draws() -> None:
    draws = pd.read_csv(io.StringIO(committed("reports/photos/cleaning.csv")))
    assert generated("cleaning") == of_cleaning(draws), "make readme"


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
    own = grid.filter(like="detectors.energy.").where(grid["pair"] != "digit-0")
    joined = own.rename(columns=lambda column: column.replace("energy", "aardvark"))
    parts = seeds(pd.concat([grid, joined], axis=1), 1.0).split("\n\n")
    last = parts[3].splitlines()[-1]
    assert parts[2].startswith("MNIST 1 to 9 against 0, ")
    assert last.split(" | ") == ["| `aardvark`", "-", "-", "- |"]


def test_a_pair_that_was_not_run_at_the_lambda_has_no_table() -> None:
    grid = grid_of(plausible, lambdas=(0.0, 1.0), seeds=range(2))
    left = grid[(grid["pair"] != "digit-0") | (grid["lambda"] == 0)]
    assert "MNIST 1 to 9" not in seeds(left, 1.0)


def test_the_default_cell_of_the_grid_is_the_committed_run_but_for_another_processor() -> None:
    """Else grid.csv is of other code or other parameters: run the grid again.

    The grid and the default run were made on two processors, which train two networks, as two
    seeds do. A network is told by what its five seeds vary by; the counts are equal.
    """
    params = YAML(typ="safe", pure=True).load(committed("params.yaml"))
    pair = "-".join(Path(params[kind]["path"]).name for kind in ("normal", "anomaly"))
    grid = committed_grid()
    later = set(NUMBERS["detectors"]) - set(detectors(grid))
    # These joined when the grid had been run, as the measured choice of the members did.
    assert later <= {"gen", "gram_maps", "hidden_knn", "mahalanobis_normalized"}
    measured = {name: one for name, one in NUMBERS["detectors"].items() if name not in later}
    of_run = {**NUMBERS, "detectors": measured}
    del of_run["members"]
    numbers = dict(numbers_of(of_run))
    seeds_of = grid[(grid["pair"] == pair) & (grid["lambda"] == params["lambda"])]
    assert len(seeds_of) == 5
    missing = numbers.keys() - grid.columns
    far = {
        key: (value, own.mean(), own.std())
        for key, value in numbers.items()
        if key not in missing
        and abs(value - (own := seeds_of[key]).mean()) > 5 * own.std() + ROUNDING
    }
    assert (missing, far) == (set(), {})


def numbers_of(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of nested dictionaries with its dotted path; texts and nulls have none."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from numbers_of(one, f"{path}.{key}" if path else str(key))
    elif isinstance(value, int | float):
        yield path, value


def test_the_pipeline_is_drawn_as_dvc_draws_it(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    drawn = subprocess.run(
        ["dvc", "dag", "--md"],
        cwd=tmp_path / "clone",
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert generated("pipeline") == drawn.stdout.strip(), "make readme"


def test_the_example_of_metrics_diff_starts_from_the_committed_metrics() -> None:
    rows = re.findall(r"reports/metrics\.json +([\w.]+) +([\d.]+) ", generated("diff"))
    assert len(rows) >= 3
    for key, shown in rows:
        value: object = compared(NUMBERS)
        for part in key.split("."):
            assert isinstance(value, dict)
            value = value[part]
        assert float(shown) == value, key


def test_every_file_that_the_readme_links_to_is_committed() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "-t", "--name-only", "HEAD"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert {link.rstrip("/") for link in links} - set(listed) == set()


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


def test_the_readme_says_how_many_detectors_keep_the_promise_and_names_the_others() -> None:
    said = promised(run_with({"energy": 0.041, "combined": 0.041, "vim": 0.025}), "calibrated")
    assert "Within their range are 2 of 3 detectors, outside `energy` (4.10%)." in said
    kept = promised(run_with({"vim": 0.025}), "calibrated")
    assert "Within their range are 1 of 1 detectors. " in kept


def test_with_the_papers_threshold_in_force_the_readme_promises_nothing() -> None:
    said = promised(run_with({"vim": 0.025}), "training")
    assert "promises nothing of fresh ones: `mahalanobis` rejects 5.10%." in said
    assert "Within their range" not in said
