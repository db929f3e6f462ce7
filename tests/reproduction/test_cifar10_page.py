"""The page of the stand-in: what it says follows from the tables and the grid file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from belong.runtime.storage import save_csv
from reproduction.grid.grid_file import GridFile
from reproduction.paper.cifar10_page import page
from stages import stand_in
from tests.imports import ROOT
from tests.paper_grid import DETECTORS, grid_of, plausible
from tests.pipeline.test_stages import run

GRID = ROOT / "reports" / "stand-in" / "params.yaml"
PAIRS = GridFile.load(GRID).pairs
LAMBDAS = (0.0, 0.01)


def measured(pair: str, lambda_: float, seed: int) -> dict[str, float]:
    """Return a cell of small photos: accuracy 0.5 at lambda 0, and 0.01 more for each seed."""
    return plausible("mnist-fashion-mnist", lambda_, seed) | {
        "data.normal_train": 1350 if pair == "cifar10-b" else 1800,
        "data.normal_calibration": 150,
        "data.normal_test": 600,
        "data.anomaly_test": 800,
        "classification.accuracy": 0.5 + 0.01 * seed + lambda_,
    }


def sets_of(grid: pd.DataFrame) -> pd.DataFrame:
    """Return the supervised head on two sets: 0.8 on its own, 0.6 on the classes it never saw."""
    return pd.DataFrame(
        {name: cell[name] for name in ("pair", "lambda", "seed")}
        | {"detector": "mlp_head", "anomalies": anomalies, "auroc": auroc, "fpr95": 0.5}
        for cell in grid.to_dict("records")
        for anomalies, auroc in (("anomaly", 0.8), ("left_out", 0.6))
    )


def text_of(**cells: Any) -> str:
    grid = grid_of(measured, **({"pairs": PAIRS, "lambdas": LAMBDAS, "seeds": [0]} | cells))
    return page(grid, sets_of(grid), PAIRS)


def rows_of(text: str, *starts: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    return [row for row in rows if row[: len(starts)] == list(starts)]


def test_the_page_says_before_any_number_that_it_is_another_experiment() -> None:
    said = text_of()
    wanted = (
        "**This is not the paper's experiment.** It is cifar10 at 33 px and not ImageNet-30 at "
        "224, EfficientNet-B0 from drawn weights, 6 epochs on 1350 to 1800 training images and 1 "
        "seed:"
    )
    assert wanted in said
    assert said.index(wanted) < said.index("| pair |")


def test_the_classes_of_each_role_are_those_of_the_grid_file() -> None:
    (row, *_) = rows_of(text_of(), "cifar10-b")
    assert row[1:4] == ["deer, dog, frog", "horse, ship, truck", "airplane, automobile, bird, cat"]
    assert row[4:] == ["1350", "150", "600", "800"]


def test_accuracy_stands_beside_what_guessing_gets() -> None:
    said = text_of(seeds=range(3))
    assert rows_of(said, "cifar10-a", "0.01") == [
        ["cifar10-a", "0.01", "0.5200 ± 0.0100 (3)", "0.2500"],
        ["cifar10-a", "0.01", "0.8000 ± 0.0000 (3)", "0.6000 ± 0.0000 (3)"],
    ]
    ((_, _, _, guess), _) = rows_of(said, "cifar10-c", "0")
    assert guess == "0.3333"


def test_one_seed_has_a_change_and_no_interval() -> None:
    for row in rows_of(text_of(), "`energy`"):
        assert (row[2].endswith(" (1)"), row[4]) == (True, "-")
    assert "nan" not in text_of()


def test_a_detector_that_is_worse_than_guessing_is_counted() -> None:
    """Both that no anomaly has trained, energy at one of the two lambdas."""
    grid = grid_of(measured, pairs=["cifar10-a"], lambdas=LAMBDAS, seeds=[0])
    grid["detectors.mahalanobis.auroc"] = 0.4
    grid["detectors.energy.auroc"] = [0.5, 0.6]
    wanted = "- cifar10-a: at lambda 0, 2 of 2; at lambda 0.01, 1 of 2"
    assert wanted in page(grid, sets_of(grid), PAIRS).splitlines()


def test_the_detectors_of_each_pair_are_sorted_by_their_auroc() -> None:
    said = text_of()
    found = [line.split("`")[1] for line in said.splitlines() if line.startswith("| `")]
    assert found == ["mlp_head", "energy", "mahalanobis"] * 3
    assert set(found) == set(DETECTORS)


def test_a_pair_that_was_not_run_is_left_out_and_a_missing_cell_named() -> None:
    said = text_of(pairs=["cifar10-a"])
    assert "cifar10-b" not in said
    grid = grid_of(measured, pairs=PAIRS, lambdas=LAMBDAS, seeds=[0])
    gone = (grid["pair"] == "cifar10-c") & (grid["lambda"] > 0)
    more = grid_of(measured, pairs=["cifar10-c"], lambdas=LAMBDAS[1:], seeds=[1])
    grid = pd.concat([grid[~gone], more])
    said = page(grid, sets_of(grid), PAIRS)
    assert "cifar10-c, lambda 0.01, seed 0" in said


def test_without_its_tables_the_stage_says_what_makes_them(tmp_path: Path) -> None:
    grid = grid_of(measured, pairs=PAIRS, lambdas=LAMBDAS, seeds=[0])
    save_csv(tmp_path / "grid.csv", grid)
    files = [GRID, tmp_path / "grid.csv", tmp_path / "sets.csv", tmp_path / "README.md"]
    done = run("stages.stand_in", *files)
    assert (done.returncode, done.stderr) == (
        2,
        f"stand_in: {tmp_path}/sets.csv: no such file; "
        f"`python -m reproduction.grid {GRID}` makes it\n",
    )
    save_csv(tmp_path / "sets.csv", sets_of(grid))
    stand_in.main(*files)
    assert (tmp_path / "README.md").read_text() == page(grid, sets_of(grid), PAIRS)


def test_the_grid_file_says_how_to_get_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines of Python in its first comment, with 40 images of two classes for CIFAR-10."""
    text = GRID.read_text(encoding="utf-8")
    lines = re.findall(r"^#(?:$|     (.*)$)", text.partition("pairs:")[0], re.MULTILINE)
    program = "\n".join(lines[lines.index("from pathlib import Path") :]).partition("dvc add")[0]
    image = Image.new("RGB", (32, 32))

    class Small:
        classes = ("cat", "dog")

        def __init__(self, root: str, *, train: bool, download: bool) -> None:
            assert (root, train in (True, False), download) == ("build/cifar10", True, True)

        def __iter__(self) -> Iterator[tuple[Image.Image, int]]:
            return iter([(image, number % 2) for number in range(40)])

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Small)
    monkeypatch.chdir(tmp_path)
    exec(program, {})  # noqa: S102
    made = sorted(str(path.relative_to("data/raw/cifar10")) for path in Path("data").rglob("*.png"))
    assert made == [
        *(f"test/{name}/{n:04}.png" for name in ("cat", "dog") for n in (0, 5, 10, 15)),
        *(f"train/{name}/{n:04}.png" for name in ("cat", "dog") for n in (0, 10)),
    ]
