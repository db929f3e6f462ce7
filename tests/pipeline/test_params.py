"""A mistake in params.yaml is one line with the place, the value and the expected value."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dvc.utils.hydra import apply_overrides

from belong import parameters
from belong.data import image_form
from belong.models.registry import FROM_SCRATCH
from belong.parameters import Parameters
from belong.runtime.errors import InputError
from belong.runtime.typed_yaml import read
from stages import check_params
from tests.imports import ROOT

# Not the params.yaml of the project, whose values are the user's.
GOOD = (ROOT / "tests" / "data" / "params.yaml").read_text(encoding="utf-8")


def check(params: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stages.check_params", params, params.with_name("valid")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("train:\n  epochs: 3", "train:\n  epoch: 12", "train.epoch: unknown key; the nearest known key is train.epochs"),
        ("seed: 0", "sede: 0", "sede: unknown key; the nearest known key is seed"),
        ("train:\n  epochs: 3", "train:\n  epochs: many", "train.epochs: expected a valid integer, got 'many'"),
        ("train:\n  epochs: 3", "train:\n  epochs: 1.5", "train.epochs: expected a valid integer, got 1.5"),
        ("train:\n  epochs: 3", "train:\n  epochs: true", "train.epochs: expected a valid integer, got True"),
        ("lambda: 1.0", "lambda: -1", "lambda: expected greater than or equal to 0, got -1"),
        ("lambda: 1.0", "lambda: '1.0'", "lambda: expected a valid number, got '1.0'"),
        ("lambda: 1.0", "lambda: .nan", "lambda: expected a finite number, got nan"),
        ("lambda: 1.0", "lambda:", "lambda: expected a valid number, got None"),
        ("  batch_size: 32", "  batch_size: 0", "train.batch_size: expected greater than or equal to 1, got 0"),
        ("\nmahalanobis:\n  quantile: 0.975", "\nmahalanobis:\n  quantile: 97.5", "mahalanobis.quantile: expected less than or equal to 1, got 97.5"),
        ("  alpha: 0.025", "  alpha: 1", "calibration.alpha: expected less than 1, got 1"),
        ("  threshold: calibrated", "  threshold: exact", "calibration.threshold: expected 'calibrated' or 'training', got 'exact'"),
        ("device: auto", "device: gpu", "device: expected 'auto', 'cpu' or 'cuda', got 'gpu'"),
        ("threads: 1", "threads: 0", "threads: expected greater than or equal to 1, got 0"),
        ("  path: tests/data/mnist-small", "  path: ''", "normal.path: expected at least 1 character, got ''"),
        ("seed: 0", "", "seed: missing"),
        ("  path: tests/data/mnist-small\n  classes: all", "  path: tests/data/mnist-small\n  classes: 1.5", "normal.classes: expected all, none, a class, a list of classes or a range such as 0-9 (in quotes: a name that"),
        *[("  path: tests/data/mnist-small\n  classes: all", f"  path: tests/data/mnist-small\n  classes: [{name}]", "normal.classes: expected all, none, a class, a list of classes or a range such as 0-9 (in quotes") for name in ("~", ".inf", ".nan", "1e3", "2024-01-01", "null")],
        ("  path: tests/data/mnist-small\n  classes: all", "  path: tests/data/mnist-small\n  classes: [0, true]", "normal.classes: expected all, none, a class, a list of classes or a range such as 0-9 (in quotes: a name that"),
        ("  background: white", "  background: grey", "images.background: expected white, black or three numbers from 0 to 255, got 'grey'"),
        ("  background: white", "  background: [0, 256, 0]", "images.background: expected white, black or three numbers from 0 to 255, got [0, 256, 0]"),
        ("  color: auto", "  color: gray", "images.color: expected 'auto', 'grey' or 'rgb', got 'gray'"),
        ("  max_bad_fraction: 0.01", "  max_bad_fraction: 1.5", "images.max_bad_fraction: expected less than or equal to 1, got 1.5"),
        ("  max_pixels: 128000000", "  max_pixels: 1280000000", "images.max_pixels: expected less than or equal to 178956970, got 1280000000"),
        ("  members: auto", "  members: [1, energy]", "combined.members: expected auto, or a list of at least 2 detectors, each once, got [1, 'energy']"),
        ("  members: auto", "  members: [energy]", "combined.members: expected auto, or a list of at least 2 detectors, each once, got ['energy']"),
        ("  test_fraction: 0.2", "  test_fraction: 0", "split.test_fraction: expected greater than 0, got 0"),
        ("seed: 0", "seed: 0\nseed: 1", "not valid YAML in line 3: found duplicate key \"seed\""),
        ("seed: 0", "seed: [0", "not valid YAML in line 3: "),
    ],
    ids=lambda text: text.strip().replace("\n", " ")[:40],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, line: str, instead: str, message: str
) -> None:
    params = tmp_path / "params.yaml"
    assert GOOD.count(line) == 1
    params.write_text(GOOD.replace(line, instead), encoding="utf-8")
    process = check(params)
    first = process.stderr.splitlines()[0]
    assert process.returncode == 2
    assert first.startswith(f"check_params: {params}: {message}"), process.stderr
    assert not (tmp_path / "valid").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected `key: value` lines, got nothing"),
        (b"- 1\n", "expected `key: value` lines, got list"),
        (b"\xff\xfe", "not UTF-8 text (byte 0)"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_in_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    params = tmp_path / "params.yaml"
    params.write_bytes(content)
    process = check(params)
    assert (process.returncode, process.stderr) == (2, f"check_params: {params}: {message}\n")


@pytest.mark.parametrize(
    ("background", "rgb"),
    [("white", (255, 255, 255)), ("black", (0, 0, 0)), ([1, 2, 3], (1, 2, 3))],
)
def test_a_background_is_a_color_that_has_three_numbers(
    background: str | list[int], rgb: tuple[int, int, int]
) -> None:
    values = read(ROOT / "tests" / "data" / "params.yaml")
    values["images"]["background"] = background
    images = Parameters.parse(values, Path("params.yaml")).images
    assert image_form.rgb_of(images.background) == rgb
    assert tuple(image_form.COLORS) == parameters.COLORS


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    process = check(tmp_path / "params.yaml")
    expected = f"check_params: {tmp_path / 'params.yaml'}: no such file\n"
    assert (process.returncode, process.stderr) == (2, expected)


def test_two_mistakes_are_two_lines(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    text = GOOD.replace("lambda: 1.0", "lambda: -1").replace("  alpha: 0.025", "  alpha: 2")
    params.write_text(text, encoding="utf-8")
    lines = check(params).stderr.splitlines()
    assert sorted(line.split(": ")[-2] for line in lines) == ["calibration.alpha", "lambda"]


def test_a_small_number_as_dvc_writes_it_is_a_number(tmp_path: Path) -> None:
    """`-S lambda=0.00001` writes 1e-05, which YAML 1.1 reads as a string."""
    params = tmp_path / "params.yaml"
    params.write_text(GOOD.replace("lambda: 1.0", "lambda: 1e-05"), encoding="utf-8")
    assert check(params).returncode == 0
    assert (tmp_path / "valid").read_text() == "valid\n"


def test_other_valid_parameters_give_the_same_bytes(tmp_path: Path) -> None:
    """Otherwise all stages after check_params would rerun for every parameter."""
    params = tmp_path / "params.yaml"
    contents = []
    for text in (GOOD, GOOD.replace("lambda: 1.0", "lambda: 0.5")):
        params.write_text(text, encoding="utf-8")
        assert check(params).returncode == 0
        contents.append((tmp_path / "valid").read_bytes())
    assert contents[0] == contents[1]


def test_a_wrong_number_of_paths_prints_the_usage() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "stages.check_params"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    expected = "usage: python -m stages.check_params PARAMS VALID\n"
    assert (process.returncode, process.stderr) == (2, expected)


IDX = ROOT / "tests" / "data" / "mnist-small"


def problems(**changes: object) -> list[str]:
    """Return the problems of the parameters with some sections, or parts of them, changed."""
    values = read(ROOT / "tests" / "data" / "params.yaml")
    values["normal"]["path"] = str(IDX)
    values["images"]["side_px"] = 224
    for key, change in changes.items():
        values[key] = {**values[key], **change} if isinstance(change, dict) else change
    return list(check_params.impossible(Parameters.parse(values, Path("params.yaml"))))


def test_the_parameters_of_the_tests_are_possible() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"network": "small_cnn"}, f"{IDX}: image side in px: expected at least 32, the minimum of network small_cnn, got 28x28"),
        ({"network": "efficientnet_lite0"}, f"{IDX}: image side in px: expected at least 33, the minimum of network efficientnet_lite0, got 28x28"),
        ({"normal": {"path": "tests"}, "images": {"side_px": 11}}, "images.side_px: expected at least 12, the minimum of network lenet, got 11"),
        ({"normal": {"path": "tests"}, "network": "vit_tiny_patch16_224", "images": {"side_px": 200}}, "images.side_px: expected 224, the side of network vit_tiny_patch16_224, got 200"),
        ({"detectors": {"vim": {"principal": 84}}}, "detectors.vim.principal: expected less than 84, the features of network lenet, got 84"),
        ({"network": "efficientnet_lite0", "normal": {"path": "tests"}, "detectors": {"vim": {"principal": 1280}}}, "detectors.vim.principal: expected less than 1280, the features of network efficientnet_lite0, got 1280"),
        ({"network": "efficientnet_lite0", "normal": {"path": "tests"}, "backbone": {"weights": "pretrained", "frozen": True}, "detectors": {"vim": {"principal": 128}}}, "detectors.vim.principal: expected less than 128, the features of network efficientnet_lite0, got 128"),
        ({"bundle": {"detector": "energi"}}, "bundle.detector: expected combined or a detector; nearest is energy, got 'energi'"),
        ({"combined": {"members": ["energi", "msp"]}}, "combined.members: expected detectors that learn without anomalies; nearest is energy, got ['energi', 'msp']"),
        ({"combined": {"members": ["mlp_head", "msp"]}}, "combined.members: expected detectors that learn without anomalies; nearest is mahalanobis_hidden, got ['mlp_head', 'msp']"),
        ({"bundle": {"detector": "mlp_head"}, "anomaly": {"classes": "none"}}, "bundle.detector: mlp_head needs training anomalies, but anomaly.classes is none"),
    ],
    ids=str,
)  # fmt: skip
def test_impossible_parameters_are_refused_before_any_training(
    changes: dict[str, object], line: str
) -> None:
    assert problems(**changes) == [line]


def test_a_network_that_joined_later_is_built_to_learn_its_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_params, "FROM_SCRATCH", {})
    (line,) = problems(detectors={"vim": {"principal": 84}})
    assert line.endswith("expected less than 84, the features of network lenet, got 84")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_gpu_is_asked_for_only_where_there_is_one(
    is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_there)
    line = "device: expected auto or cpu, as torch finds no GPU, got cuda"
    assert problems(device="cuda") == ([] if is_there else [line])


def test_images_that_are_not_there_yet_are_not_judged() -> None:
    assert problems(network="small_cnn", normal={"path": "nowhere"}) == []


@pytest.mark.parametrize("name", check_params.FROM_SCRATCH)
def test_the_limits_of_a_network_are_those_that_it_has(name: str) -> None:
    limits = check_params.FROM_SCRATCH[name]
    images = torch.zeros(1, 1, limits.least_px, limits.least_px, dtype=torch.uint8)
    network = FROM_SCRATCH[name].for_images(images, classes=2)
    assert network.classifier.in_features == limits.features
    with pytest.raises(InputError):
        FROM_SCRATCH[name].for_images(images[:, :, 1:], classes=2)


def test_an_impossible_parameter_ends_the_stage_with_one_line_and_no_output(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(GOOD.replace("  principal: 42", "  principal: 90"), encoding="utf-8")
    process = check(params)
    line = f"check_params: {params}: detectors.vim.principal: expected less than 84, "
    assert (process.returncode, process.stderr) == (
        2,
        f"{line}the features of network lenet, got 90\n",
    )
    assert not (tmp_path / "valid").exists()


def test_the_usual_parameters_are_checked_without_torch(tmp_path: Path) -> None:
    """Importing torch takes seconds, and `make` checks before every run."""
    code = (
        "import sys; from pathlib import Path; from stages.check_params import main; "
        "main(*map(Path, sys.argv[1:])); sys.exit('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code, "params.yaml", str(tmp_path / "valid")]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "change",
    [
        "lambda=0.1",
        "study.ratios=[1.0,2.0]",
        "normal.classes=[1,2,3]",
        "anomaly.classes=[0]",
        "unseen.classes=[0]",
        "images.background=[1,2,3]",
        "combined.members=[energy,vim]",
        "+backbone.dtype=bfloat16",
    ],
)
def test_set_param_keeps_every_comment_of_the_parameters_again_and_again(
    change: str, tmp_path: Path
) -> None:
    """`dvc exp run -S` calls this function, on a file that it may have written before."""
    params = tmp_path / "params.yaml"
    params.write_text(GOOD, encoding="utf-8")
    for one in (change, "seed=1", "lambda=0.01"):
        apply_overrides(str(params), [one])
        assert comments(params.read_text(encoding="utf-8")) == comments(GOOD)
    assert read(params)["seed"] == 1


def comments(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("#")]
