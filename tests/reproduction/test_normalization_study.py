"""Center loss x L2 normalization: the measurements, the choice of a recipe, and the page."""

from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from belong.detectors.base import Training
from belong.detectors.feature_knn import FeatureNeighbors
from belong.detectors.mahalanobis_plus import MahalanobisPlus, RelativeMahalanobisPlus
from belong.models.activations import Views
from reproduction.normalization_study import __main__ as study
from reproduction.normalization_study import digits
from reproduction.normalization_study.effects import BOTH, LOWERS, OPEN, RAISES, TASKS, effects
from reproduction.normalization_study.measures import (
    DETECTORS,
    NORMALIZED,
    RAW,
    RIDGE,
    K,
    aurocs,
)
from reproduction.normalization_study.page import page
from reproduction.normalization_study.recipe_text import FORMS, Choice, chosen
from reproduction.normalization_study.recipes import DEFAULT, TRIED, Recipe
from tests.imports import ROOT

REPORT = ROOT / "reports" / "normalized"
PUBLISHED = ROOT / "reports" / "paper" / "published.csv"


def two_classes(n: int, shift: float = 0.0, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return features (n, 3) of two classes in turn, and their labels."""
    labels = torch.arange(n) % 2
    features = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    features[:, 0] += 6 * labels + 3
    features[:, 2] += shift
    return features, labels


def of_features(features: Tensor) -> Views:
    return Views(features, *[features.new_empty(len(features), 0)] * 5)


def test_on_normalized_features_each_detector_is_the_one_of_its_own_file() -> None:
    train, labels = two_classes(400)
    normal, odd = two_classes(200, seed=1)[0], two_classes(200, 2.0, seed=2)[0]
    auroc_of = {
        one.detector: one.value
        for one in aurocs(train, labels, ["a", "b"], normal, {"odd": odd})
        if one.features == NORMALIZED
    }
    training = Training(of_features(train), labels, ["a", "b"], train, train)
    peers = {
        "mahalanobis_tied": MahalanobisPlus.fit(training, ridge=RIDGE),
        "relative_mahalanobis": RelativeMahalanobisPlus.fit(training, ridge=RIDGE),
        "feature_knn": FeatureNeighbors.fit(training, k=K),
    }
    for name, peer in peers.items():
        scores = torch.cat([peer.score(of_features(x)) for x in (normal, odd)])
        truth = torch.cat([torch.zeros(200), torch.ones(200)])
        assert auroc_of[name] == pytest.approx(roc_auc_score(truth, scores), abs=1e-4)


def test_raw_features_keep_their_lengths() -> None:
    train, labels = two_classes(400)
    normal = two_classes(200, seed=1)[0]
    longer = {"longer": 3 * normal}
    auroc_of = {
        (one.detector, one.features): one.value
        for one in aurocs(train, labels, ["a", "b"], normal, longer)
    }
    for detector in DETECTORS:
        assert auroc_of[detector, NORMALIZED] == pytest.approx(0.5, abs=1e-3)
    assert auroc_of["mahalanobis", RAW] > 0.9
    assert auroc_of["feature_knn", RAW] > 0.9


def cells(changes: dict[str, dict[float, float]]) -> pd.DataFrame:
    """Return cells of all tasks; `changes`: features -> lambda -> what it adds to an AUROC."""
    rows = []
    pairs = sorted({pair for task in TASKS for pair in task.pairs})
    for pair, weight, seed in product(pairs, (0.0, 0.1, 1.0), range(5)):
        row: dict[str, Any] = {"pair": pair, "recipe": DEFAULT.name, "lambda": weight}
        row |= {"seed": seed, "accuracy": 0.99}
        for detector, features, anomalies in product(
            DETECTORS, (RAW, NORMALIZED), ("anomaly", "third", "far")
        ):
            change = changes.get(features, {}).get(weight, 0.0)
            noise = 0.0004 * ((seed + int(10 * weight)) % 3)
            row[f"{detector}.{features}.{anomalies}"] = 0.9 + change + noise
        rows.append(row)
    return pd.DataFrame(rows)


def verdicts(table: pd.DataFrame, features: str) -> set[str]:
    return {one.verdict for one in effects(table) if one.features == features}


@pytest.mark.pipeline
def test_a_change_that_every_seed_has_is_a_verdict_and_noise_is_none() -> None:
    table = cells({RAW: {0.1: 0.01, 1.0: 0.02}, NORMALIZED: {1.0: -0.02}})
    assert verdicts(table, RAW) == {RAISES}
    assert verdicts(table, NORMALIZED) == {LOWERS}
    assert verdicts(cells({}), RAW) == {OPEN}
    assert verdicts(cells({RAW: {0.1: 0.02, 1.0: -0.02}}), RAW) == {BOTH}


def trials(best: Choice) -> pd.DataFrame:
    """Return trials in which one recipe and form finds the left-out digits best."""
    rows = []
    for place, recipe in enumerate(TRIED[:4]):
        row: dict[str, Any] = {"pair": digits.TRIAL, "recipe": recipe.name, "lambda": 1.0}
        row |= {"seed": 0, "accuracy": 0.99 + 0.001 * place, "nll": 0.02 - 0.001 * place}
        for form in FORMS:
            hit = best == Choice(recipe.name, 1.0, form)
            row |= {f"{form}.left_out": 0.9 + 0.05 * hit, f"{form}.derived": 0.8 + 0.01 * place}
            row |= {f"{form}.digit_0": 0.9 + 0.01 * place, f"{form}.fashion": 0.99 - 0.1 * hit}
        rows.append(row)
    return pd.DataFrame(rows)


@pytest.mark.parametrize("recipe", [TRIED[0].name, TRIED[2].name])
def test_the_left_out_digits_choose_and_the_test_images_do_not(recipe: str) -> None:
    best = Choice(recipe, 1.0, FORMS[1])
    assert chosen(trials(best)) == best


@pytest.mark.pipeline
def test_the_page_says_who_is_right_and_whether_the_published_number_is_reached() -> None:
    table = cells({RAW: {1.0: 0.05}, NORMALIZED: {1.0: -0.05}})
    is_photo = table["pair"].str.startswith("cifar10")
    choice = Choice(DEFAULT.name, 1.0, "mahalanobis.raw")
    text = page(table[~is_photo], table[is_photo], trials(choice), pd.read_csv(PUBLISHED))
    result = text.splitlines()[2]
    assert result.startswith("**Result.** Paper A's claim, that center loss raises the AUROC of ")
    assert "on raw features, holds on digits and photos." in result
    assert "lowers it on normalized features, holds on digits and photos." in result
    assert result.endswith("Normalization changes the sign on digits and photos.")
    assert "| MNIST 1 to 9 against 0 | raw | raises | raises | raises | raises |" in text
    assert "| MNIST 1 to 9 against 0 | normalized | lowers |" in text
    assert "published 0.9969: **not reached**" in text
    assert "| `mahalanobis` | 0.9003" in text


def test_a_table_that_has_all_cells_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    todo = [digits.Cell("digit-0", DEFAULT, seed) for seed in range(3)]
    study.run(path, todo[:2], lambda cell: {"number": cell.seed})
    study.run(path, todo, lambda cell: {"number": 10 + cell.seed})
    assert pd.read_csv(path)["number"].tolist() == [0, 1, 12]


def test_a_recipe_changes_the_network_and_the_training_that_it_names() -> None:
    images = torch.randint(0, 256, (40, 1, 28, 28), dtype=torch.uint8)
    draw = torch.Generator().manual_seed(0)
    plain = DEFAULT.network(images, 10, draw)
    other = Recipe("other", 0.1, {"epochs": 3}, "adam", relu=False, width=16)
    other_network = other.network(images, 10, draw)
    assert plain(images)[0].min() == 0
    assert other_network(images)[0].min() < 0
    assert other_network(images)[0].shape == (40, 16)
    assert (other.options.optimizer, other.options.lambda_, other.options.epochs) == (
        "adam",
        0.1,
        3,
    )
    assert DEFAULT.options.optimizer == "sgd"


def test_a_trial_sees_no_digit_0_and_no_fashion_among_what_chooses() -> None:
    pair = digits.PAIRS[digits.TRIAL]
    assert (pair.normal, pair.classes, pair.anomaly) == ("1-6", "7-9", "digits")
    assert pair.sets["left_out"] == "anomaly/head"  # training images of the left-out digits
    assert pair.held_out == "normal/calibration"


@pytest.mark.pipeline
def test_the_committed_page_is_made_of_the_committed_tables(tmp_path: Path) -> None:
    study.write_page(REPORT, PUBLISHED, tmp_path / "README.md")
    assert (REPORT / "README.md").read_text("utf-8") == (tmp_path / "README.md").read_text("utf-8")
