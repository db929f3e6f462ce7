"""The study of `combined`: its rules, its anomalies, and what its page says."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from belong.data.synthetic_anomalies import DERIVED
from belong.detectors.combination import MEMBERS, CombinationRule, candidates_of, rule_of
from belong.detectors.combined import Combination
from belong.detectors.score_parts import HELD_OUT
from belong.evaluation.metrics import roc_auc
from belong.parameters import Parameters
from reproduction.combination_study.cells import TRAIN, Images
from reproduction.combination_study.page import IN_USE, page
from reproduction.combination_study.rules import FROZEN, MEASURED, WHOLE, combine, ways
from reproduction.combination_study.study import table_of
from reproduction.combination_study.synthetic import KINDS, synthetic
from tests.imports import ROOT

RNG = np.random.default_rng(0)
HELD = [RNG.normal(size=400), RNG.exponential(size=400)]
TESTED = [RNG.normal(size=50) + 1, 2 * RNG.exponential(size=50)]


# --- the rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["fisher", "harmonic", "stouffer"])
def test_a_rule_that_a_model_has_is_the_models(rule: CombinationRule) -> None:
    (combined,) = combine(rule, HELD, [TESTED], tail=0.1)
    model = Combination.fit(dict(zip("ab", HELD, strict=True)), tail=0.1, rule=rule)
    np.testing.assert_allclose(
        combined, model.score(dict(zip("ab", TESTED, strict=True))), rtol=1e-6
    )


def test_the_least_p_value_is_the_largest_surprise() -> None:
    surprises = [
        combine("fisher", [a], [[b]], tail=0.1)[0] for a, b in zip(HELD, TESTED, strict=True)
    ]
    (combined,) = combine("minimum", HELD, [TESTED], tail=0.1)
    np.testing.assert_array_equal(combined, np.maximum(*surprises))


def test_two_members_that_say_much_the_same_count_less_than_one_that_says_something_else() -> None:
    common = RNG.normal(size=2000)
    held_out = [RNG.normal(size=2000), *(common + 0.5 * RNG.normal(size=(2, 2000)))]
    far, usual = np.array([9.0]), np.array([-9.0])
    scores = [[far, usual, usual], [usual, far, usual], [usual, usual, far]]
    other, *twins = (one[0] for one in combine("weighted", held_out, scores, tail=0.1))
    assert twins == pytest.approx([0.6 * other] * 2, rel=0.15)
    fisher, *_ = (one[0] for one in combine("fisher", held_out, scores, tail=0.1))
    assert other == pytest.approx(fisher)


# --- the anomalies ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 1, 28, 28), (6, 3, 32, 32), (6, 3, 30, 30)])
def test_every_kind_changes_every_image_and_keeps_its_form(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    arrays = synthetic(images, np.arange(6) % 2, seed=0)
    assert set(arrays) == {f"synthetic/{name}" for name in KINDS}
    for pixels in arrays.values():
        assert pixels.shape == shape
        assert pixels.dtype == np.uint8
        assert (pixels != images).any(axis=(1, 2, 3)).all()


def test_no_kind_chooses_that_measures() -> None:
    assert not set(KINDS) & set(DERIVED)


def test_the_other_image_of_a_pair_is_of_another_class() -> None:
    images = np.repeat(np.array([10, 200], np.uint8), 5)[:, None, None, None] * np.ones(
        (1, 1, 8, 8), np.uint8
    )
    arrays = synthetic(images, np.repeat([0, 1], 5), seed=0)
    assert (arrays["synthetic/mixed"] == 200).all()


def test_without_some_classes_their_held_out_images_are_the_anomalies() -> None:
    labels = {TRAIN: np.arange(12) % 3, HELD_OUT: np.arange(6) % 3, "normal/test": np.arange(3)}
    pixels = {part: np.arange(len(array))[:, None] for part, array in labels.items()}
    fewer = Images(pixels, pixels, labels, ["a", "b", "c"]).without([1], 2)
    assert fewer.class_names == ["a", "c"]
    assert fewer.pixels[TRAIN][:, 0].tolist() == [0, 2, 3, 5]  # two of each class
    assert fewer.labels[TRAIN].tolist() == [0, 1, 0, 1]
    assert fewer.pixels["left_out"][:, 0].tolist() == [1, 4]
    assert fewer.labels["normal/test"].tolist() == [0, 1]


# --- the page -----------------------------------------------------------------------------------


def scores(parts: dict[str, tuple[int, float]]) -> dict[str, np.ndarray]:
    """Return scores of all members on parts: name -> number of images and how far they lie off."""
    rng = np.random.default_rng(2)
    return {
        f"{part}/{name}": (rng.normal(size=n) + off).astype(np.float32)
        for part, (n, off) in parts.items()
        for name in (*MEMBERS, "reconstruction")
    }


def test_synthetic_anomalies_stand_beside_held_out_images_that_fit_no_p_value() -> None:
    parts = {HELD_OUT: (200, 0.0), "normal/test": (80, 3.0), "anomaly/test": (30, 5.0)}
    arrays = scores(parts | {"synthetic/a": (40, 1.0), "synthetic/b": (40, 0.5)})
    table = table_of(arrays, frozen=False).set_index(["anomalies", "way"])["auroc"]
    held_out = arrays[f"{HELD_OUT}/energy"][1::2]
    by_kind = [roc_auc(held_out, arrays[f"synthetic/{kind}/energy"]) for kind in "ab"]
    assert table["synthetic", "energy"] == pytest.approx(np.mean(by_kind), abs=1e-6)
    assert table["worst kind", "energy"] == pytest.approx(min(by_kind), abs=1e-6)
    expected = roc_auc(arrays["normal/test/energy"], arrays["anomaly/test/energy"])
    assert table["anomaly/test", "energy"] == pytest.approx(expected, abs=1e-6)
    every = {*MEMBERS, "reconstruction"}
    assert set(table["synthetic"].index) == every | set(map(str, ways(WHOLE)))
    assert set(table["anomaly/test"].index) == every | set(map(str, MEASURED))


def rows(lead: float) -> pd.DataFrame:
    """Return three seeds of a pair, where `combined` leads the best detector by `lead`."""
    lines = []
    for kind, sets in (("whole", WHOLE), ("frozen", FROZEN)):
        pair = "digit-0" if kind == "whole" else "cifar10-a"
        names = [str(way) for way in ways(sets)]
        for seed, part in product(
            range(3), ("synthetic", "worst kind", "anomaly/test", "left_out")
        ):
            own_kind = "left_out" if part == "left_out" else kind
            of_way = dict.fromkeys(names, 0.9) | {
                "energy": 0.8,
                str(IN_USE[kind]): 0.8 + lead,
                "mlp_head": 1,
            }
            lines += [(own_kind, pair, 1.0, seed, part, way, x) for way, x in of_way.items()]
    return pd.DataFrame(
        lines, columns=["kind", "pair", "lambda", "seed", "anomalies", "way", "auroc"]
    )


def test_the_page_names_the_sets_on_which_a_single_detector_is_better() -> None:
    text = page(rows(-0.002))
    assert "on 1 of 1 sets." in text
    assert "on 1 of 1 sets of anomalies (the whole network trained)" in text
    text = page(rows(-0.0022))
    assert "on 0 of 1 sets of anomalies (the whole network trained)" in text
    assert "on 0 of 1 sets; not on digit-0, lambda 1, anomaly (-0.0022)." in text
    assert "| digit-0 | 1 | anomaly | 0.7978 ± 0.0000 (3) |" in text
    assert "`energy`" in text
    assert "3 trainings" in text


def test_the_page_names_what_the_rule_costs_beside_fishers() -> None:
    table = rows(0.01)
    fisher = str(replace(IN_USE["whole"], rule="fisher"))
    table.loc[table["way"] == fisher, "auroc"] = 0.8125
    change = "-0.0025 (digit-0, lambda 1, anomaly)"
    assert f"changes the AUROC on a set by {change} to {change}.\n" in page(table)


def test_what_the_page_says_is_in_use_is_what_models_use() -> None:
    tail = Parameters.load(ROOT / "params.yaml").combined.tail
    for kind, sets in (("whole", WHOLE), ("frozen", FROZEN)):
        way, frozen = IN_USE[kind], kind == "frozen"
        assert list(sets[way.members]) == candidates_of("auto", is_frozen=frozen)
        assert (way.rule, way.tail) == (rule_of(is_frozen=frozen), tail)


def test_the_committed_page_is_made_of_the_committed_table() -> None:
    folder = ROOT / "reports" / "combined"
    table = pd.read_csv(folder / "combined.csv")
    assert page(table) == Path(folder / "README.md").read_text(encoding="utf-8")
