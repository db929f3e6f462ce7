"""The four uses of the pipeline, in a clone, on a few real images; nothing is mocked."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.image import imread

from belong.detectors.registry import DETECTORS
from tests.clones import ENVIRONMENT, PIPELINE, call, clone_to, commit
from tests.robustness.kills import digests, forget, kill, scoring, stages_of, start


def metrics_of(folder: Path) -> Any:
    return json.loads((folder / "reports" / "metrics_all.json").read_text())


def charts_of(page: str) -> list[dict[str, Any]]:
    """Return the Vega-Lite specifications in a page of `dvc plots`."""
    return [json.loads(spec) for spec in re.findall(r"var spec = (\{.*\});", page)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clone_to(tmp_path_factory.mktemp("clone"))
    call(folder, "dvc", "repro")
    commit(folder)
    return folder


@pytest.fixture(scope="module")
def experiments(clone: Path) -> dict[str, str]:
    """Run lambda 0.1, then 1.0 again; return what each printed."""
    return {
        value: call(clone, "dvc", "exp", "run", "-n", name, "-S", f"lambda={value}")
        for value, name in (("0.1", "tenth"), ("1.0", "one"))
    }


def test_repro_measures_every_detector_on_all_test_images(clone: Path) -> None:
    numbers = metrics_of(clone)
    assert set(numbers["detectors"]) == {*DETECTORS, "combined"}
    assert numbers["classification"]["n"] == 500
    assert numbers["data"] == {
        "anomaly_head": 600,
        "anomaly_test": 300,
        "normal_calibration": 400,
        "normal_test": 500,
        "normal_train": 1600,
    }


def test_a_few_epochs_on_two_thousand_digits_already_classify_and_detect(clone: Path) -> None:
    numbers = metrics_of(clone)
    assert numbers["classification"]["accuracy"] > 0.8
    assert numbers["detectors"]["mlp_head"]["auroc"] > 0.95


def test_the_figures_are_pictures_of_a_printable_size(clone: Path) -> None:
    figures = sorted((clone / "reports" / "figures").iterdir())
    assert [figure.name for figure in figures] == [
        f"{name}.png"
        for name in (
            "acceptance", "anomaly_sets", "calibration", "features", "gallery", "picked_classes",
            "roc", "scores", "training",
        )
    ]  # fmt: skip
    assert min(min(imread(figure).shape[:2]) for figure in figures) >= 500


def test_a_second_repro_has_nothing_to_do(clone: Path) -> None:
    assert "Data and pipelines are up to date." in call(clone, "dvc", "repro")
    assert "up to date" in call(clone, "dvc", "status", *PIPELINE)


def test_a_second_clone_gives_the_same_bytes(clone: Path, tmp_path: Path) -> None:
    second = clone_to(tmp_path)
    call(second, "dvc", "repro")
    for path in ("reports/metrics.json", "reports/metrics_all.json", "dvc.lock"):
        assert (second / path).read_bytes() == (clone / path).read_bytes(), path


def test_with_two_threads_each_metric_lies_within_the_95_percent_interval_of_one(
    clone: Path, tmp_path: Path
) -> None:
    """That of the AUROC is of resamples, that of the accuracy of as many tosses as test images."""
    second = tmp_path / "second"
    call(tmp_path, "git", "clone", "--quiet", str(clone), str(second))
    call(second, "dvc", "config", "--local", "cache.dir", str(clone / ".dvc" / "cache"))
    call(second, "dvc", "exp", "run", "-S", "threads=2", "evaluate")
    one, two = metrics_of(clone), metrics_of(second)
    accuracy, n = one["classification"]["accuracy"], one["classification"]["n"]
    half = 1.96 * (accuracy * (1 - accuracy) / n) ** 0.5
    assert two["classification"]["accuracy"] == pytest.approx(accuracy, abs=half)
    for name, ours in one["detectors"].items():
        auroc = two["detectors"][name]["auroc"]
        assert ours["auroc_low"] <= auroc <= ours["auroc_high"], name


def test_another_lambda_retrains_but_neither_splits_nor_fetches(
    experiments: dict[str, str],
) -> None:
    stages_run = re.findall(r"Running stage '([\w-]+)'", experiments["0.1"])
    assert stages_run[:3] == ["check_params", "train", "extract"]
    assert not {"pack", "split"} & set(stages_run)


def test_going_back_to_an_earlier_lambda_trains_nothing(experiments: dict[str, str]) -> None:
    stages_run = re.findall(r"Running stage '([\w-]+)'", experiments["1.0"])
    # Outputs that git holds are made again; DVC restores only the others.
    reruns = {"evaluate", "study_covariance", "study_promise", "report", "report_page"}
    assert set(stages_run) <= reruns


@pytest.mark.usefixtures("experiments")
def test_metrics_diff_shows_both_values_of_two_experiments(clone: Path) -> None:
    changes = json.loads(call(clone, "dvc", "metrics", "diff", "--json", "one", "tenth"))
    auroc = changes["reports/metrics.json"]["mahalanobis.auroc"]
    assert auroc["old"] == metrics_of(clone)["detectors"]["mahalanobis"]["auroc"]
    assert auroc["new"] != auroc["old"]


@pytest.mark.usefixtures("experiments")
def test_the_table_of_the_experiments_fits_a_screen_of_200_columns(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "COLUMNS", "200")
    options = ("--only-changed", "--drop", "Created|.*/", "--no-pager")  # those of docs/pipeline.md
    output = call(clone, "dvc", "exp", "show", *options)
    assert "…" not in output
    assert {"[tenth]", "lambda", "accuracy", "combined.auroc"} <= set(output.split())


@pytest.mark.usefixtures("clone")
def test_plots_show_draws_all_detectors_in_one_chart_and_needs_no_network(clone: Path) -> None:
    call(clone, "dvc", "plots", "show")
    page = (clone / "dvc_plots" / "index.html").read_text()
    assert "window.vegaEmbed" in page
    assert re.findall(r"<(?:script|link)[^>]*(?:src|href)=", page) == []
    (roc,) = [chart for chart in charts_of(page) if chart["title"]["text"].startswith("ROC")]
    files = {row["filename"] for row in roc["data"]["values"]}
    assert files == {f"{name}.csv" for name in (*DETECTORS, "combined")}


@pytest.mark.usefixtures("experiments")
def test_plots_diff_draws_both_revisions(clone: Path) -> None:
    call(clone, "dvc", "plots", "diff", "one", "tenth")
    page = (clone / "dvc_plots" / "index.html").read_text()
    for chart in charts_of(page):
        assert {row["rev"] for row in chart["data"]["values"]} == {"one", "tenth"}


def test_a_mistake_in_params_stops_the_run_before_any_work(clone: Path) -> None:
    params = clone / "params.yaml"
    good, before = params.read_text(), (clone / "reports" / "metrics.json").read_bytes()
    params.write_text(good.replace("lambda: 1.0", "lambda: -1.0"))
    try:
        output = call(clone, "dvc", "repro", fails=True)
    finally:
        params.write_text(good)
    assert (
        "check_params: params.yaml: lambda: expected greater than or equal to 0, got -1.0" in output
    )
    assert re.findall(r"Running stage '([\w-]+)'", output) == ["check_params"]
    assert (clone / "reports" / "metrics.json").read_bytes() == before
    assert "Traceback" not in output


@pytest.mark.usefixtures("experiments")
def test_a_cell_of_the_grid_has_the_numbers_of_the_same_experiment_by_hand(
    clone: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    call(tmp_path, "git", "clone", "--quiet", str(clone), str(second))
    call(second, "dvc", "config", "--local", "cache.dir", str(clone / ".dvc" / "cache"))
    grid = {
        "pairs": {"own": {}},
        "sweeps": {"one": {"by_default": True, "pairs": ["own"], "lambdas": [0.1], "seeds": [0]}},
        "curves": {"lambdas": [0.1], "seed": 0, "detectors": ["mahalanobis"]},
    }
    (tmp_path / "grid.yaml").write_text(json.dumps(grid))
    call(
        second,
        "python",
        "-m",
        "reproduction.grid",
        str(tmp_path / "grid.yaml"),
        str(tmp_path / "out"),
    )
    (row,) = pd.read_csv(tmp_path / "out" / "grid.csv").to_dict("records")
    (ref,) = call(clone, "git", "for-each-ref", "--format=%(refname)", "**/tenth").split()
    by_hand = json.loads(call(clone, "git", "show", f"{ref}:reports/metrics_all.json"))
    assert {name: row[f"detectors.{name}.auroc"] for name in by_hand["detectors"]} == {
        name: numbers["auroc"] for name, numbers in by_hand["detectors"].items()
    }
    assert row["classification.accuracy"] == by_hand["classification"]["accuracy"]


@pytest.mark.parametrize("killed", ["python -m stages.", "command"])
@pytest.mark.parametrize(("stage", "seconds"), [("train", 2.5), ("split", 0.4), ("score", 1.0)])
def test_after_a_kill_of_a_stage_or_of_dvc_the_same_command_gives_the_same_bytes(
    clone: Path, killed: str, stage: str, seconds: float
) -> None:
    """`python -m tests.robustness.kills` kills at any moment, every stage, and the grid."""
    (target,) = [
        one for one in stages_of(clone) if (one.killed, one.name) == (killed, f"dvc repro {stage}")
    ]
    # While the stage runs: DVC writes its dvc.lock in place, and a kill then leaves half of it.
    row = kill(target, seconds, digests(target), behind="python -m stages.")
    assert row.is_harmless


def test_a_scoring_that_was_killed_goes_on_and_gives_the_same_bytes(
    clone: Path, tmp_path: Path
) -> None:
    target = scoring(tmp_path, clone / "data" / "bundle")
    start(target, target.command).communicate()
    expected = digests(target)
    forget(target)
    row = kill(target, 0.8 * target.seconds, expected)
    assert row.is_harmless


def test_from_a_remote_a_second_clone_has_every_output_and_nothing_to_run(
    clone: Path, tmp_path: Path
) -> None:
    """The digits of data/dvc.yaml, which this pair does not read, were never fetched."""
    store = ["remote", "add", "--local", "--default", "store", str(tmp_path / "store")]
    call(clone, "dvc", *store)
    call(clone, "dvc", "push")
    call(tmp_path, "git", "clone", "--quiet", str(clone), str(tmp_path / "second"))
    second = tmp_path / "second"
    call(second, "dvc", *store)
    pull_output = call(second, "python", "-m", "belong.commands.verify.pull", ".")
    assert pull_output.endswith("all outputs of dvc.lock are present\n")
    repro_output = call(second, "dvc", "repro")
    assert "Running stage" not in repro_output
    assert "Data and pipelines are up to date." in repro_output
    assert call(second, "git", "status", "--porcelain") == ""
    assert digests_of(second / "data" / "bundle") == digests_of(clone / "data" / "bundle")


def digests_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
