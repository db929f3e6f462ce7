"""The parts of the grid that need neither git nor DVC."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from belong.parameters import Parameters
from belong.runtime.errors import InputError
from belong.runtime.typed_yaml import read
from reproduction.grid.cells import Cell, assignments, changed, in_running_order, product
from reproduction.grid.collect import numbers
from reproduction.grid.disk_space import free, needed
from reproduction.grid.freshness import code_of, kept, keys_read, picked, upstream
from reproduction.grid.grid_file import GridFile
from tests.imports import ROOT

GRID = ROOT / "reports" / "paper" / "params.yaml"


def test_the_paper_and_the_finer_scale_are_75_different_cells() -> None:
    """2 pairs x 5 lambdas x 5 seeds, and 5 lambdas more for one pair."""
    assert len(GridFile.load(GRID).chosen([], GRID)) == 2 * 5 * 5 + 5 * 5


def test_the_imagenet_half_is_75_cells_that_run_when_asked_for() -> None:
    grid = GridFile.load(GRID)
    assert len(grid.chosen(["imagenet30"], GRID)) == 3 * 5 * 5
    assert len(grid.cells()) == 150


def test_the_name_of_a_cell_says_its_pair_lambda_and_seed() -> None:
    assert Cell("digit-0", 0.001, 4).name == "digit-0-lambda-0.001-seed-4"


def test_a_whole_lambda_is_given_to_dvc_as_a_float() -> None:
    (cell,) = product(["own"], [1], [0])
    assert assignments(cell.settings({})) == ["lambda=1.0", "seed=0"]


def test_one_cell_of_each_pair_and_seed_runs_before_the_others() -> None:
    cells = in_running_order(product(["a", "b"], [0, 0.1, 1], [0, 1]))
    assert len(cells) == 12
    assert {(cell.pair, cell.seed) for cell in cells[:4]} == {
        ("a", 0), ("a", 1), ("b", 0), ("b", 1),
    }  # fmt: skip
    assert [cell.seed for cell in cells[4:]] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_order_of_the_cells_is_the_same_for_any_order_that_they_come_in() -> None:
    cells = product(["a", "b"], [0, 0.1, 1], [0, 1, 2])
    assert in_running_order(sorted(cells)) == in_running_order(sorted(cells, reverse=True))


def test_a_setting_replaces_one_key_of_a_section_and_a_list_as_a_whole() -> None:
    params = {"normal": {"path": "a", "classes": [0, 1, 2]}, "seed": 0}
    assert changed(params, {"normal": {"classes": [7]}, "new": {"k": 1}}) == {
        "normal": {"path": "a", "classes": [7]},
        "seed": 0,
        "new": {"k": 1},
    }
    assert params["normal"] == {"path": "a", "classes": [0, 1, 2]}


@pytest.mark.parametrize(
    "value",
    [
        0, 3, 0.0, 1.0, 1e-05, 0.001, True, None, "all", "1-9", "007", "0", "null", "3.5", "",
        "photos/our cats, and dogs", "it's", "a=b", "{x}", "[1]", "ä ö", "#no comment", "$HOME",
        [1, 2, 3], ["0", 1, "two words"], [],
    ],
    ids=repr,
)  # fmt: skip
def test_dvc_reads_an_assignment_as_the_value_that_it_was_made_from(
    tmp_path: Path, value: object
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("normal:\n  classes: all\n")
    apply_overrides(str(path), assignments({"normal": {"classes": value}}))
    read = YAML(typ="safe", pure=True).load(path.read_text())["normal"]["classes"]
    assert (read, type(read)) == (value, type(value))


def test_the_numbers_of_a_report_stand_under_their_dotted_paths() -> None:
    report = {"a": {"b": {"auroc": 0.5, "n": 3}, "reason": "text", "none": None}, "c": [1.0]}
    assert list(numbers(report)) == [("a.b.auroc", 0.5), ("a.b.n", 3)]


def test_what_comes_after_a_stage_is_not_upstream_of_it() -> None:
    stages: dict[str, Any] = {
        "split": {"deps": ["split.py"], "outs": ["images"]},
        "train": {"deps": ["train.py", "images"], "outs": [{"network": {"cache": False}}]},
        "evaluate": {"deps": ["network"], "metrics": ["metrics"]},
        "report": {"deps": ["metrics", "images"], "outs": ["figures"]},
        "page": {},
    }
    assert upstream(stages, "evaluate") == {"split", "train", "evaluate"}


def test_a_cell_needs_the_space_of_what_depends_on_lambda_and_the_first_of_a_seed_more() -> None:
    """Two pairs, two seeds, three lambdas; by hand, and what is behind the results left out."""
    stages: dict[str, Any] = {
        "check_params": {"params": [{"params.yaml": None}], "outs": ["valid"]},
        "pack": {"deps": ["valid"], "params": ["images"], "outs": ["pack"]},
        "split": {"deps": ["pack"], "params": ["seed"], "outs": ["images"]},
        "train": {"deps": ["images"], "params": ["seed", "lambda"], "outs": ["network"]},
        "evaluate": {"deps": ["network"], "outs": [{"plots": {"cache": True}}]},
        "report": {"deps": ["plots"], "outs": ["page"]},
    }
    sizes = {"pack": 100_000, "split": 10_000, "train": 1_000, "evaluate": 1, "report": 10**9}
    lock = {name: {"outs": [{"size": size}, {"size": size}]} for name, size in sizes.items()}
    cells = product(["a", "b"], [0, 0.1, 1], [0, 1])
    assert needed(stages, lock, cells) == 2 * (2 * 100_000 + 4 * 10_000 + 12 * 1_001)
    assert needed(stages, {}, cells) == 0


def test_the_space_of_a_cache_that_is_not_there_yet_is_that_of_the_folder_above(
    tmp_path: Path,
) -> None:
    assert free(tmp_path / "not" / "there") == pytest.approx(shutil.disk_usage(tmp_path).free, 0.1)


def test_a_grid_file_may_ask_for_no_curves(tmp_path: Path) -> None:
    path, text = tmp_path / "grid.yaml", GRID.read_text()
    path.write_text(text.partition("curves:")[0])
    assert GridFile.load(path).with_curves() == set()


def test_a_cell_is_of_every_file_below_the_wings_that_its_stages_list() -> None:
    stage = {"deps": ["belong/models", "belong/runtime/storage.py", "stages/a.py", "data/images"]}
    files = {
        "belong/models/lenet.py": "1",
        "belong/models/deep/er.py": "2",
        "belong/models_too/other.py": "3",
        "belong/data/idx.py": "4",
        "belong/runtime/storage.py": "5",
        "stages/a.py": "6",
        "data/images": "7",
    }
    of_the_stage = ("belong/models/lenet.py", "belong/models/deep/er.py", *stage["deps"][1:3])
    assert code_of(stage, files) == {path: files[path] for path in of_the_stage}
    without_a = {path: content for path, content in files.items() if path != "stages/a.py"}
    assert code_of(stage, without_a)["stages/a.py"] is None


def test_the_keys_that_decide_are_those_that_the_stages_up_to_the_results_read() -> None:
    stages: dict[str, Any] = {
        "check_params": {"params": [{"params.yaml": None}], "outs": ["valid"]},
        "pack": {"deps": ["valid", "${normal.path}"], "params": ["images"], "outs": ["pack"]},
        "evaluate": {"deps": ["pack"], "params": ["seed", "calibration.alpha"]},
        "report": {"deps": ["metrics"], "params": ["colors"]},
    }
    assert keys_read(stages) == {"images", "normal.path", "seed", "calibration.alpha"}


def test_every_key_of_the_project_but_those_of_a_later_stage_decides() -> None:
    """The studies stand in the report, beside the results; the model is packed after them."""
    read_by_stages = keys_read(read(ROOT / "dvc.yaml")["stages"])
    sections = {key.partition(".")[0] for key in read_by_stages}
    assert set(read(ROOT / "params.yaml")) - sections == {"bundle", "promise", "study"}


def test_only_the_named_key_of_a_section_is_picked_and_missing_ones_are_left_out() -> None:
    params = {"calibration": {"alpha": 0.1, "threshold": "training"}, "seed": 0, "study": {}}
    keys = ["calibration.alpha", "calibration.beta", "seed", "seed.first", "epochs"]
    assert picked(params, keys) == {"calibration.alpha": 0.1, "seed": 0}


def test_a_new_pointer_of_dvc_and_a_changed_image_are_seen_and_their_neighbors_are_not() -> None:
    files = {
        "photos/ours/cat/1.png": "a1",
        "photos/others/1.png": "b2",
        "photos/ours.dvc": "c3",
        "photos.dvc": "d4",
        "photos/ours2.dvc": "e5",
        "README.md": "f6",
    }
    assert set(kept(files, ["photos/ours"])) == {
        "photos/ours/cat/1.png", "photos/ours.dvc", "photos.dvc",
    }  # fmt: skip


@pytest.mark.parametrize("pair", ["imagenet30-a", "imagenet30-b", "imagenet30-c"])
def test_photos_are_trained_in_the_grid_as_the_documentation_says(pair: str) -> None:
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"dvc exp run -S network=efficientnet_b0.*\\\n.*", page)
    settings = GridFile.load(GRID).pairs[pair]
    defaults = read(ROOT / "params.yaml")
    params = changed(defaults, settings)
    for key, value in re.findall(r"-S ([\w.]+)=(\S+)", command):
        if key != "lambda":  # the grid tries several
            entry: Any = params
            for part in key.split("."):
                entry = entry[part]
            assert str(entry).lower() == value, key
    Parameters.parse(params, GRID)
    assert params["detectors"]["vim"]["principal"] == 1280 // 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    lambdas: [0, 0.001, 0.003",
            "    lambdaz: [0, 0.001, 0.003",
            "sweeps.fine.lambdaz: unknown key; the nearest known key is sweeps.fine.lambdas",
        ),
        (
            "[0, 1]",
            "[0, 1, 1.0]",
            "curves.lambdas: expected distinct values, got [0, 1, 1.0]",
        ),
        (
            "[0, 1]",
            "[]",
            "curves.lambdas: expected at least one value, got []",
        ),
        (
            "3, 10]",
            "3, -10]",
            "sweeps.fine.lambdas.9: expected greater than or equal to 0, got -10",
        ),
        (
            "digit-0]",
            "digit_0]",
            "sweeps.paper.pairs: expected one of mnist-fashion-mnist, digit-0, "
            "imagenet30-a, imagenet30-b, imagenet30-c, got 'digit_0'",
        ),
        (
            "  digit-0:\n",
            "  digit-0:\n    lambda: 1.0\n",
            "pairs.digit-0.lambda: belongs to a sweep, not to a pair",
        ),
        (
            "# Every pair of a sweep",
            "  a/b: {}\n# Every pair of a sweep",
            "pairs.a/b: expected a name of a-z, 0-9 and single hyphens",
        ),
        (
            "  seed: 0",
            "  seed: first",
            "curves.seed: expected a valid integer, got 'first'",
        ),
        (
            "  fine:\n    by_default: true\n",
            "  fine:\n",
            "sweeps.fine.by_default: missing",
        ),
    ],
    ids=lambda text: str(text).strip()[:30],
)
def test_a_mistake_in_the_grid_file_is_named_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path, text = tmp_path / "grid.yaml", GRID.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError) as error:
        GridFile.load(path)
    assert str(error.value) == f"{path}: {message}"


def test_an_unknown_sweep_is_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"expected one of paper, fine, imagenet30, got 'fien'$"):
        GridFile.load(GRID).chosen(["fien"], GRID)


@pytest.mark.pipeline
@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_the_packages_of_other_engines_are_imported_only_when_asked_for(
    engine: str, package: str
) -> None:
    program = (
        "import sys, pathlib, reproduction.grid.__main__;"
        "from reproduction.grid.engines.registry import engine_of;"
        f"assert '{package}' not in sys.modules; sys.modules['{package}'] = None;"
        f"engine_of('{engine}', clones=pathlib.Path(), logs=pathlib.Path(), threads=1)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.stderr.splitlines()[-1] == (
        f"belong.runtime.errors.InputError: --engine {engine} needs the package {package}: "
        f"pip install -c constraints.txt -e '.[{engine}]'"
    )
