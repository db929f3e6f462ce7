"""The photo half of the grid, ImageNet-30, on a small tree of the same shape."""

import io
import json
from colorsys import hsv_to_rgb
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reproduction.grid.grid_file import GridFile
from reproduction.paper.published import PAIRS
from tests.clones import call, clone_to, commit
from tests.imports import ROOT
from tests.photo_folders import write_colored, write_images

GRID = ROOT / "reports" / "paper" / "params.yaml"
SIDE_PX = 33


def parts() -> dict[str, list[str]]:
    """Return the class names of the parts a, b and c, as the grid file has them."""
    pairs = GridFile.load(GRID).pairs
    return {part: pairs[f"imagenet30-{part}"]["normal"]["classes"] for part in "abc"}


def test_the_parts_are_thirty_classes_in_the_order_of_their_names_ten_each() -> None:
    names = [name for part in parts().values() for name in part]
    assert names == sorted(set(names))
    assert [len(part) for part in parts().values()] == [10, 10, 10]


def test_each_part_is_normal_once_against_the_anomalies_of_the_published_table() -> None:
    pairs, classes = GridFile.load(GRID).pairs, parts()
    for (normal, anomaly), name in PAIRS.items():
        if name in pairs and name.startswith("imagenet30"):
            letters = {normal[-1], anomaly[-1]}
            (third,) = set(classes) - letters
            class_lists = [pairs[name][kind]["classes"] for kind in ("normal", "anomaly", "unseen")]
            assert class_lists == [classes[normal[-1]], classes[anomaly[-1]], classes[third]]


@pytest.mark.pipeline
def test_a_cell_of_imagenet30_runs_on_a_folder_for_each_of_the_thirty_classes(
    tmp_path: Path,
) -> None:
    """30 training and 4 test images of each class; without torchvision's weights.

    Each normal class has a color of its own: a network that learns nothing is refused.
    """
    folder = clone_to(tmp_path / "clone")
    to, counts = folder / "data" / "raw" / "imagenet30", {"train": 30, "test": 4}
    for letter, names in parts().items():
        for place, name in enumerate(names):
            files = [f"{part}/{name}/{i}.png" for part in counts for i in range(counts[part])]
            if letter == "a":
                rgb = [round(180 * value) for value in hsv_to_rgb(place / len(names), 1, 1)]
                write_colored(to, files, rgb, side_px=SIDE_PX)
            else:
                write_images(to, *files, side_px=SIDE_PX)
    call(folder, "dvc", "add", "data/raw/imagenet30")
    pair: dict[str, Any] = GridFile.load(GRID).pairs["imagenet30-a"]
    small = {
        "backbone": {"weights": "none"},
        "images": {"side_px": SIDE_PX},
        "split": {"calibration_fraction": 0.3},
        "train": pair["train"] | {"epochs": 6, "batch_size": 8, "learning_rate": 0.01},
    }
    sweep = {"by_default": True, "pairs": ["imagenet30-a"], "lambdas": [0.001], "seeds": [0]}
    grid = {
        "pairs": {"imagenet30-a": pair | small},
        "sweeps": {"imagenet30": sweep},
        "curves": {"lambdas": [0.001], "seed": 0, "detectors": ["mahalanobis"]},
    }
    (tmp_path / "grid.yaml").write_text(json.dumps(grid))
    commit(folder)
    call(
        folder,
        "python",
        "-m",
        "reproduction.grid",
        str(tmp_path / "grid.yaml"),
        str(tmp_path / "out"),
    )
    (row,) = pd.read_csv(tmp_path / "out" / "grid.csv").to_dict("records")
    counted = {key: number for key, number in row.items() if str(key).startswith("data.")}
    assert counted == {
        "data.anomaly_head": 300,
        "data.anomaly_test": 40,
        "data.left_out_test": 40,
        "data.normal_calibration": 90,
        "data.normal_test": 40,
        "data.normal_train": 210,
    }
    (ref,) = call(folder, "git", "for-each-ref", "--format=%(refname)", "refs/exps/??/*/*").split()
    confusion = call(folder, "git", "show", f"{ref}:reports/plots/confusion.csv")
    assert set(pd.read_csv(io.StringIO(confusion))["actual"]) == set(parts()["a"])
