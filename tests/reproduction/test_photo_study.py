"""The page of the study of photos: what it says follows from the cells."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from belong.runtime.errors import InputError
from reproduction.photo_study.images import Photos, load
from reproduction.photo_study.page import page
from reproduction.photo_study.parts import ANOMALIES, LAMBDAS, PARTS, THIRD
from reproduction.photo_study.study import CALIBRATION, Cell, _rows
from tests.imports import ROOT
from tests.photo_folders import write_images

DETECTORS = ("combined", "mahalanobis", "mlp_head", "msp")
PUBLISHED = pd.read_csv(ROOT / "reports" / "paper" / "published.csv")


def cells(
    *, lambdas: tuple[float, ...] = LAMBDAS, seeds: int = 3, gain: float = 0.0, loss: float = 0.0
) -> pd.DataFrame:
    """Return cells of all parts: lambda 1 gains accuracy, and loses AUROC of the head."""
    rows = []
    for part, weight, seed in product(PARTS, lambdas, range(seeds)):
        row = {"pair": f"cifar10-{part}", "lambda": weight, "seed": seed}
        row |= {f"data.normal_{name}": 100 for name in ("train", "calibration", "test")}
        row["classification.accuracy"] = 0.8 + gain * weight + 0.001 * seed
        row["classification.logistic"] = 0.75
        for name in DETECTORS:
            auroc = 0.9 - (loss * weight if name == "mlp_head" else 0) + 0.001 * seed
            own = {"auroc": auroc, "third_auroc": 0.8, "far_auroc": 0.99, "fpr95": 1 - auroc}
            own |= {"false_reject": 0.02, "false_accept": 0.3}
            row |= {f"detectors.{name}.{number}": value for number, value in own.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def digits() -> pd.DataFrame:
    return cells().assign(pair="digit-0").drop_duplicates(["pair", "lambda", "seed"])


def test_the_anomalies_and_the_third_part_are_the_other_two() -> None:
    for part in PARTS:
        assert {part, ANOMALIES[part], THIRD[part]} == set(PARTS)


def test_a_gain_that_every_seed_has_is_confirmed_and_none_is_not() -> None:
    said = page(cells(seeds=5), cells(gain=0.05), PUBLISHED, digits())
    assert "3 of 3 differences (best lambda above 0 less lambda 0) are above zero" in said
    said = page(cells(seeds=5), cells(), PUBLISHED, digits())
    assert "0 of 3 differences (best lambda above 0 less lambda 0) are above zero" in said


def test_the_worst_loss_of_the_supervised_head_is_that_of_the_largest_lambda() -> None:
    said = page(cells(seeds=5), cells(loss=0.2), PUBLISHED, digits())
    assert "the worst case here is cifar10-a at lambda 1: +0.2000" in said
    assert "3 of 3 differences (loss of AUROC from lambda 0 to 1 on photos less" in said


def test_cells_that_have_not_been_run_are_counted_and_leave_the_claims_open() -> None:
    said = page(cells(seeds=5), cells(lambdas=(0.0, 0.1), seeds=1), PUBLISHED, digits())
    assert "**Only 6 of 45 fine-tuned cells have been run.**" in said
    assert "frozen cells have been run" not in said
    assert "Not answered: the fine-tuned cells have fewer than two seeds." in said


def test_a_cell_that_is_missing_is_named() -> None:
    frozen = cells(seeds=5)
    said = page(frozen.drop(index=frozen.index[-1]), cells(), PUBLISHED, digits())
    assert "Missing cells: frozen: cifar10-c, lambda 1, seed 4." in said


def test_no_photo_is_in_two_parts_of_a_cell() -> None:
    names = np.repeat([name for part in PARTS.values() for name in part], 200)
    is_test = np.tile(np.arange(200) >= 150, 10)
    none = np.empty((len(names), 0))
    rows = dict(_rows(Cell("a", 0.0, 3), Photos(none, none, names, is_test)))
    every = np.concatenate(list(rows.values()))
    assert len(every) == len(set(every))
    assert len(rows["normal/calibration"]) == CALIBRATION * len(PARTS["a"])


def test_a_study_without_a_class_is_refused(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", "train/cat/0.png", "train/dog/0.png")
    with pytest.raises(InputError, match="expected a class airplane, as CIFAR-10 has"):
        load(folder, ROOT, side_px=32)
