"""The study of `belong clean`: what it plants, what it counts, and the page made of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from belong.data.image_folder import list_images
from belong.runtime.errors import InputError
from reproduction.clean_study.page import kept, page, summary
from reproduction.clean_study.peer import is_outlier
from reproduction.clean_study.planted_errors import Spoiled, counted_of, plant
from reproduction.clean_study.study import spoiled_folders
from tests.imports import ROOT
from tests.photo_folders import write_images

REPORT = ROOT / "reports" / "photos"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [f"{name}/{row}.png" for name in ("ant", "bee", "far") for row in range(20)]
    return write_images(tmp_path_factory.mktemp("photos"), *names, side_px=4)


def spoiled(photos: Path, *, each: int = 15, planted: int = 4) -> Spoiled:
    class_folders = [photos / "ant", photos / "bee"]
    return Spoiled("insects", "others", class_folders, each, [photos / "far"], planted)


def test_swapped_photos_lie_in_another_class_foreign_ones_in_any_and_all_others_in_their_own(
    photos: Path, tmp_path: Path
) -> None:
    planted_errors = plant(spoiled(photos), tmp_path, np.random.default_rng(0))
    class_of = {path.read_bytes(): path.parent.name for path in photos.rglob("*.png")}
    kinds = {}
    for path in list_images(tmp_path).files:
        class_name = class_of[(tmp_path / path).read_bytes()]
        kinds[str(path)] = (
            "foreign"
            if class_name == "far"
            else ""
            if class_name == path.parent.name
            else "swapped"
        )
    assert {path: kind for path, kind in kinds.items() if kind} == planted_errors
    assert sorted(planted_errors.values()) == ["foreign"] * 4 + ["swapped"] * 4
    assert len(kinds) == 2 * 15 + 4


def test_another_seed_draws_other_photos(photos: Path, tmp_path: Path) -> None:
    contents_of_seeds = [
        {path.read_bytes() for path in list_images(tmp_path / str(seed)).paths}
        for seed in (0, 1)
        if plant(spoiled(photos), tmp_path / str(seed), np.random.default_rng(seed))
    ]
    assert contents_of_seeds[0] != contents_of_seeds[1]


@pytest.mark.parametrize(
    ("each", "planted", "message"),
    [(21, 4, "20 photos, expected at least 21"), (15, 21, "others: 20 photos, expected 21")],
)
def test_too_few_photos_are_refused(
    photos: Path, tmp_path: Path, each: int, planted: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plant(spoiled(photos, each=each, planted=planted), tmp_path, np.random.default_rng(0))


def test_named_images_are_counted_by_their_planted_error() -> None:
    planted_errors = {"a": "swapped", "b": "swapped", "c": "foreign"}
    assert counted_of({"a", "c", "d", "e"}, planted_errors) == {
        "swapped_found": 1, "foreign_found": 1, "named": 4, "precision": 0.5,
    }  # fmt: skip
    assert counted_of(set(), planted_errors)["precision"] is None


def test_an_outlier_lies_beyond_the_third_quartile_by_one_point_seven_quartile_distances() -> None:
    """The mean distances to the other ten are worked out from all pairs."""
    angles = np.append(np.linspace(0, 0.2, 30), [0.9, 2.0])
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    every = np.sort(1 - directions @ directions.T, axis=1)[:, 1:11].mean(axis=1)
    low, high = np.percentile(every, [25, 75])
    expected = every > high + 1.7 * (high - low)
    assert is_outlier(directions).tolist() == expected.tolist()
    assert expected.tolist()[-1]
    assert not expected[:30].all()


def test_the_full_size_photos_are_spoiled_with_near_and_with_far_ones() -> None:
    kinds = [one.foreign for one in spoiled_folders("clothing", Path("photos"))]
    assert kinds == ["other clothes", "groceries"]


def draws(precisions: tuple[float, ...] = (0.9, 0.7)) -> pd.DataFrame:
    rows = [
        {
            "photos": "rooms", "foreign_kind": "tools", "seed": seed, "images": 1390,
            "swapped": 40, "foreign": 40, "accuracy": 0.95, "method": method,
            "swapped_found": 36 + 2 * seed, "foreign_found": 30, "named": 75,
            "precision": precision, "swapped_auroc": 0.99, "foreign_auroc": 0.98,
        }
        for seed, precision in enumerate(precisions)
        for method in ("belong", "cleanlab")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_page_has_the_mean_and_the_spread_of_each_method() -> None:
    text = page(draws())
    assert "In folders of 1,350 photos, 40 labels were swapped, and 40 foreign photos" in text
    row = "| rooms | tools | belong | 37.0 ± 1.4 (2) | 30.0 ± 0.0 (2) | 75.0 ± 0.0 (2) | 0.800 ±"
    assert row in text
    assert "swapped labels `belong clean` finds 37 to 37 (cleanlab: 37 to 37) on average" in text


def test_the_share_of_false_alarms_that_came_out_is_said_with_the_worst_draw() -> None:
    assert kept(draws()).endswith("Measured: 0.20 ± 0.14 (2), and 0.30 in the worst draw.")


def test_the_table_of_the_documentation_has_both_methods() -> None:
    numbers = "37.0 ± 1.4 (2) | 30.0 ± 0.0 (2) | 0.80 ± 0.14 (2) |"
    assert summary(draws()).endswith(
        f"| rooms with tools | `belong clean` | {numbers}\n"
        f"| rooms with tools | cleanlab | {numbers}"
    )


def test_the_committed_page_is_made_of_the_committed_draws_and_clean_keeps_its_share() -> None:
    rows = pd.read_csv(REPORT / "cleaning.csv")
    assert (REPORT / "cleaning.md").read_text("utf-8") == page(rows)
    assert rows.groupby(["photos", "foreign_kind", "method"])["seed"].nunique().min() >= 5
