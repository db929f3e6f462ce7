"""The page of the study of photos: what it says follows from the cells."""

import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from belong.commands.fit.settings import parameters
from belong.models.backbones.catalog import backbone_named
from belong.models.feature_extraction import embed
from belong.runtime.errors import InputError
from reproduction.photo_study import fetch
from reproduction.photo_study.fetch import Repository
from reproduction.photo_study.images import Photos, load, load_full_size
from reproduction.photo_study.page import page
from reproduction.photo_study.parts import (
    ANOMALIES,
    CLOTHES,
    FAR,
    FULL_SIZE,
    LAMBDAS,
    NEAR,
    PARTS,
    THIRD,
)
from reproduction.photo_study.study import (
    BACKBONE,
    CALIBRATION,
    CPU,
    DESIGNS,
    Cell,
    Material,
    is_frozen,
    measured,
    rows_of,
)
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
            numbers = {"auroc": auroc, "third_auroc": 0.8, "far_auroc": 0.99, "fpr95": 1 - auroc}
            numbers |= {"false_reject": 0.02, "false_accept": 0.3}
            row |= {f"detectors.{name}.{number}": value for number, value in numbers.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def digits() -> pd.DataFrame:
    return cells().assign(pair="digit-0").drop_duplicates(["pair", "lambda", "seed"])


def full_size() -> pd.DataFrame:
    """Return draws of the full-size photos; accuracy 0.9 to 0.904."""
    rows = []
    for seed in range(5):
        row: dict[str, object] = {"pair": FULL_SIZE, "lambda": 0.1, "seed": seed}
        row |= {f"data.normal_{name}": 1200 for name in ("train", "calibration", "test")}
        row |= {"data.anomaly_test": 250, "data.far_test": 500}
        row |= {"classification.accuracy": 0.9 + 0.001 * seed, "classification.logistic": 0.75}
        for name, auroc in (("msp", 0.7), ("combined", 0.8)):
            numbers = {"auroc": auroc, "far_auroc": 0.99, "false_reject": 0.02, "false_accept": 0.3}
            row |= {f"detectors.{name}.{number}": value for number, value in numbers.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def test_the_anomalies_and_the_third_part_are_the_other_two() -> None:
    for part in PARTS:
        assert {part, ANOMALIES[part], THIRD[part]} == set(PARTS)


def test_the_page_begins_with_its_result_and_links_the_other_studies() -> None:
    lines = page(cells(seeds=5), full_size(), cells(), PUBLISHED, digits()).splitlines()
    assert lines[2].startswith("**Result.** Above a frozen backbone, over all parts and lambdas, ")
    for name in ("few_images.md", "cleaning.md", "collapse.md"):
        assert f"({name})" in lines[4]


def test_a_gain_that_every_seed_has_is_confirmed_and_none_is_not() -> None:
    text = page(cells(seeds=5), full_size(), cells(gain=0.05), PUBLISHED, digits())
    assert "3 of 3 differences (best lambda above 0 less lambda 0) are above zero" in text
    text = page(cells(seeds=5), full_size(), cells(), PUBLISHED, digits())
    assert "0 of 3 differences (best lambda above 0 less lambda 0) are above zero" in text


def test_the_worst_loss_of_the_supervised_head_is_that_of_the_largest_lambda() -> None:
    text = page(cells(seeds=5), full_size(), cells(loss=0.2), PUBLISHED, digits())
    assert "the worst case here is cifar10-a at lambda 1: +0.2000" in text
    assert "3 of 3 differences (loss of AUROC from lambda 0 to 1 on photos less" in text


def test_cells_that_have_not_been_run_are_counted_and_leave_the_claims_open() -> None:
    text = page(
        cells(seeds=5), full_size(), cells(lambdas=(0.0, 0.1), seeds=1), PUBLISHED, digits()
    )
    assert "**Only 6 of 45 fine-tuned cells have been run.**" in text
    assert "frozen cells have been run" not in text
    assert "Not tested: the fine-tuned cells have fewer than two seeds." in text


def test_a_cell_that_is_missing_is_named() -> None:
    frozen = cells(seeds=5)
    text = page(frozen.drop(index=frozen.index[-1]), full_size(), cells(), PUBLISHED, digits())
    assert "Missing cells: frozen: cifar10-c, lambda 1, seed 4." in text


def test_no_photo_is_in_two_parts_of_a_cell() -> None:
    names = np.repeat([name for part in PARTS.values() for name in part], 200)
    is_test = np.tile(np.arange(200) >= 150, 10)
    none = np.empty((len(names), 0))
    rows = dict(rows_of(Cell("a", 0.0, 3), Photos(none, none, names, is_test)))
    every = np.concatenate(list(rows.values()))
    assert len(every) == len(set(every))
    assert len(rows["normal/calibration"]) == CALIBRATION * len(PARTS["a"])


def test_the_page_has_the_full_size_photos_with_the_best_detector_first() -> None:
    text = page(cells(seeds=5), full_size(), cells(), PUBLISHED, digits())
    section = text[
        text.index("## Frozen backbone, full-size photos") : text.index("## Fine-tuned network")
    ]
    assert "Accuracy 0.9020 ± 0.0016 (5); logistic regression on the same vectors 0.7500" in section
    assert section.index("`combined` | 0.8000 ± 0.0000 (5) | 0.9900") < section.index(
        "`msp` | 0.7000"
    )


def test_no_full_size_photo_is_in_two_parts_of_a_draw_and_another_seed_draws_others() -> None:
    names = np.repeat([*CLOTHES, NEAR, FAR], 600)
    none = np.empty((len(names), 0))
    photos = Photos(none, none, names, np.zeros(len(names), bool))
    rows, others = (dict(rows_of(Cell(FULL_SIZE, 0.1, seed), photos)) for seed in (0, 1))
    every = np.concatenate(list(rows.values()))
    assert len(every) == len(set(every)) == len(names)
    assert set(names[rows["anomaly/test"]]) == {NEAR}
    assert set(rows["normal/train"]) != set(others["normal/train"])


@pytest.mark.pipeline
@pytest.mark.parametrize("kind", ["frozen", "fine_tuned"])
def test_a_cell_of_either_half_trains_what_its_design_names(kind: str) -> None:
    rng = np.random.default_rng(0)
    names = np.repeat([name for part in PARTS.values() for name in part], 80)
    is_test = np.tile(np.arange(80) >= 70, len(names) // 80)
    names, is_test = np.append(names, ["far"] * 9), np.append(is_test, [True] * 9)
    hues = np.unique(names, return_inverse=True)[1] * 20  # by class, so that a network can learn
    images = rng.integers(0, 50, (len(names), 3, 40, 40)) + hues[:, None, None, None]
    images = images.astype(np.uint8)
    backbone = backbone_named(BACKBONE)
    inputs = (
        embed(backbone, torch.from_numpy(images), device=CPU).numpy() if is_frozen(kind) else images
    )
    settings = dict(DESIGNS[kind].settings) | {
        "train.epochs": 4, "train.batch_size": 16,
        "detectors.vim.principal": 32, "autoencoder.epochs": 1,
    }  # fmt: skip
    shared = Material(
        kind, Photos(inputs, images[..., :32, :32], names, is_test), backbone, parameters(settings)
    )
    row = measured(Cell("a", 0.1, 0), shared)
    assert row["pair"] == "cifar10-a"
    assert row["data.normal_train"] == 4 * 20
    assert (row["classification.logistic"] is not None) == is_frozen(kind)
    assert 0 <= row["detectors.combined.far_auroc"] <= 1


def repository(folder: Path) -> Repository:
    """Make a git repository of what is in `folder`."""
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "photos"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return Repository(str(folder), head.stdout.strip())


def test_the_full_size_photos_are_those_of_one_commit_each_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{kind}{row}" for kind in (*CLOTHES, "Dress", "Kids") for row in range(3)]
    write_images(tmp_path / "clothes", *(f"images/{name}.jpg" for name in names))
    kinds = ["T-Shirt" if name.startswith("Kids") else name[:-1] for name in names]
    kids = [name.startswith("Kids") for name in names]
    table = pd.DataFrame({"image": names, "sender_id": 0, "label": kinds, "kids": kids})
    table.to_csv(tmp_path / "clothes" / "images.csv", index=False)
    shutil.copy(tmp_path / "clothes/images/Pants0.jpg", tmp_path / "clothes/images/Dress0.jpg")
    write_images(tmp_path / "shop", *(f"dataset/train/Fruit/Pear/{row}.jpg" for row in range(4)))
    for name in ("clothes", "shop"):
        folder = repository(tmp_path / name)
        monkeypatch.setattr(fetch, {"clothes": "CLOTHING", "shop": "GROCERIES"}[name], folder)
    to = tmp_path / "made"
    words = ["--clothing", str(tmp_path / "clothes"), "--groceries", str(tmp_path / "shop")]
    assert fetch.main([str(to), *words]) == 0
    counts = {
        path.name: len(list(path.glob("*.jpg"))) for path in sorted(to.rglob("*")) if path.is_dir()
    }
    assert counts == {
        "far": 4, "near": 2, "normal": 0, "Longsleeve": 3, "Pants": 3, "T-Shirt": 3,
    }  # fmt: skip
    loaded = load_full_size(to, side_px=8)
    assert loaded.images.shape == (15, 3, 8, 8)
    assert loaded.class_names.tolist()[-5:] == [NEAR, *[FAR] * 4][-5:]
    assert fetch.main([str(to), *words]) == 2  # it is there


def test_a_commit_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "clothes", "images/0.jpg")
    repository(tmp_path / "clothes")
    assert fetch.main([str(tmp_path / "to"), "--clothing", str(tmp_path / "clothes")]) == 2
    assert f"clothes: commit {fetch.CLOTHING.commit}: " in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


def test_a_study_without_a_class_is_refused(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", "train/cat/0.png", "train/dog/0.png")
    with pytest.raises(InputError, match="expected a class airplane, as CIFAR-10 has"):
        load(folder, ROOT, side_px=32)
