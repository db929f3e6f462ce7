"""A malicious model with valid checksums: refused in one line, before it takes memory."""

import hashlib
import json
import shutil
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

import belong
from belong.calibration import conformal
from belong.calibration.verdict import decide
from belong.detectors import isolation_forest
from belong.detectors.base import check_axes
from belong.detectors.combined import Combination, Surprise
from belong.detectors.registry import OF_MODELS
from belong.prediction.bundle import MOST_TOTAL
from belong.prediction.manifest import IntegrityError
from belong.runtime.errors import InputError
from tests.hostile_facts import fact
from tests.untrained_bundle import save_untrained

Arrays = dict[str, np.ndarray]
pytestmark = pytest.mark.robustness

MOST_BYTES = 2**28  # that Python may take for the answer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    save_untrained(folder)
    return folder


def resigned(
    model: Path,
    to: Path,
    facts: Callable[[dict[str, Any]], object] = lambda _facts: None,
    files: Mapping[str, Callable[[Arrays], object] | bytes] | None = None,
) -> Path:
    """Copy a model with other facts or arrays, and the sums that belong to them."""
    shutil.copytree(model, to)
    values = json.loads((to / "manifest.json").read_text())
    del values["sha256"]
    for name, change in (files or {}).items():
        path = to / f"{name}.safetensors"
        arrays = load_file(path)
        if not isinstance(change, bytes):
            change(arrays)
        content = change if isinstance(change, bytes) else save(arrays)
        path.write_bytes(content)
        entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        values["files"][path.name] = entry
    facts(values)
    text = json.dumps(values, indent=2) + "\n"
    manifest_values = values | {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    (to / "manifest.json").write_text(json.dumps(manifest_values, indent=2) + "\n")
    return to


def header(dtype: str, shape: list[int], size: int = 0) -> bytes:
    """Return a safetensors file of one array."""
    text = json.dumps({"x": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def set_array(name: str, value: Any) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: value(arrays[name]) if callable(value) else value})


FACTS = {
    "100,000 members": fact("members", value=["energy"] * 10**5),
    "a member twice": fact("members", value=["energy", "energy"]),
    "an unknown member": fact("members", value=["energy", "oracle"]),
    "an unknown detector": fact("detector", value="oracle"),
    "an unknown network": fact("network", value="oracle"),
    "100 million calibration images": fact("n_calibration", value=10**8),
    "10^400 calibration images": fact("n_calibration", value=10**400),
    "other calibration images": fact("n_calibration", value=41),
    "30 million classes": fact("shape", "classes", value=30_000_000),
    "60,000 classes": fact("shape", "classes", value=60_000),
    "no classes": fact("shape", "classes", value=0),
    "an image of 4096 px for the network": fact("shape", "height", value=4096),
    "100,000 keywords": fact("shape", value={f"k{n}": 1 for n in range(10**5)}),
    "another keyword": fact("shape", "depth", value=3),
    "a large form": fact("form", "height", value=4096),
    "a class too many": fact("class_names", value=["cat", "dog", "emu"]),
    "two classes of one name": fact("class_names", value=["cat", "cat"]),
    "a class without a name": fact("class_names", value=["cat", ""]),
    "a class that clears the screen": fact("class_names", value=["cat", "\x1b[2J"]),
    "a class of two lines": fact("class_names", value=["cat", "d\nog"]),
    "a seed without end": fact("trained_on", "seed", value=10**30),
    "images without end": fact("measured", "normal_images", value=10**18),
    "a limit of 0": fact("distance_limit", value=0.0),
    "a limit that is 0 as a float32": fact("distance_limit", value=1e-50),
    "a network of 100,000 letters": fact("network", value="a" * 10**5),
    "files of any size": fact("form", "max_pixels", value=2**40),
    "a background beyond white": fact("form", "background", value=[2**40, 0, 0]),
}


def standing_on(
    architecture: str, network: str = "frozen", **card: Any
) -> Callable[[dict[str, Any]], None]:
    """Claim a network of timm's below the model's own."""

    def change(values: dict[str, Any]) -> None:
        values["network"] = network
        sizes = {"early": 24, "middle": 112, "last": 84, "embedding": 84}
        values["shape"] = {"classes": 2} | (sizes if network == "frozen" else {})
        values["backbone"] = {
            "name": "large", "architecture": architecture, "mean": [0.5] * 3, "std": [0.5] * 3,
            "side_px": 224, "has_fixed_side": False, "sizes": [24, 112, 84], "weights": "w",
            "license": "", "dtype": "float32",
        } | card  # fmt: skip

    return change


LARGE = "eva02_enormous_patch14_clip_224"  # 17 GB of weights
FACTS |= {
    "a frozen network of 17 GB": standing_on(LARGE),
    "a fine-tuned network of 17 GB": standing_on(LARGE, "fine_tuned"),
    "a network of a web site": standing_on("hf-hub:somebody/network"),
    "a network of a folder": standing_on("local-dir:/tmp"),
    "a network that is not": standing_on("oracle", "fine_tuned"),
    "a classifier of 10^12 inputs": standing_on(
        "test_efficientnet", "fine_tuned", sizes=[1, 1, 10**12]
    ),
    "a module of one's own": standing_on("module"),
    "a network without a card": fact("network", value="fine_tuned"),
}
FILES: dict[str, dict[str, Any]] = {
    "bfloat16": {"network": header("BF16", [8], 16)},
    "float8": {"network": header("F8_E4M3", [8], 8)},
    "2^63 rows of nothing": {"network": header("U8", [2**63, 0])},
    "2^40 rows of nothing": {"training": header("U8", [2**40, 0])},
    "100 axes": {"network": header("U8", [0] * 100)},
    "20 axes": {"network": header("U8", [1] * 20, 1)},
    "a NaN weight": {"network": set_array("classifier.weight", lambda x: x * np.nan)},
    "an infinite weight": {"network": set_array("classifier.bias", lambda x: x + np.inf)},
    "a huge weight": {
        "network": set_array("hidden2.weight", lambda x: np.sign(x) * np.float32(3e38))
    },
    "a weight missing": {"network": lambda arrays: arrays.pop("classifier.bias")},
    "no standard deviation": {"network": set_array("std", lambda x: x * 0)},
    "NaN means": {"detectors": set_array("mahalanobis/means", lambda x: x * np.nan)},
    "thresholds of 0": {"detectors": set_array("mahalanobis/thresholds", lambda x: x * 0)},
    "a threshold too many": {
        "detectors": set_array("mahalanobis/thresholds", np.ones(3, np.float32))
    },
    "other Gaussians": {"detectors": set_array("mahalanobis/means", np.ones((2, 7), np.float32))},
    "5 million Gaussians": {
        "detectors": set_array("mahalanobis/whitening", np.ones((5_000_000, 1, 1), np.float32))
    },
    "means of three axes": {"detectors": set_array("mahalanobis/means", lambda x: x[None])},
    "no means": {"detectors": lambda arrays: arrays.pop("mahalanobis/means")},
    "NaN calibration": {"calibration": set_array("energy", lambda x: x * np.nan)},
    "calibration of two axes": {"calibration": set_array("energy", lambda x: x[:, None])},
    "no calibration": {"calibration": set_array("energy", np.zeros(0, np.float32))},
    "pictures of one axis": {"training": set_array("thumbnails", np.zeros(40, np.uint8))},
    "pictures of another size": {
        "training": set_array("thumbnails", np.zeros((40, 1, 9, 9), np.uint8))
    },
    "pictures of floats": {"training": set_array("thumbnails", lambda x: x.astype(np.float32))},
    "too few pictures": {"training": set_array("thumbnails", lambda x: x[:3])},
    "labels of floats": {"training": set_array("labels", lambda x: x.astype(np.float32))},
    "labels beyond the classes": {"training": set_array("labels", lambda x: x + 2)},
    "labels of two axes": {"training": set_array("labels", lambda x: x[:, None])},
    "features of one axis": {"training": set_array("features", lambda x: x[:, 0])},
    "NaN features": {"training": set_array("features", lambda x: x * np.nan)},
    "no features": {"training": lambda arrays: arrays.pop("features")},
}


@pytest.mark.parametrize("name", [*FACTS, *FILES])
def test_it_is_refused_in_one_line_and_takes_no_memory(
    name: str, model: Path, tmp_path: Path
) -> None:
    facts = {"facts": FACTS[name]} if name in FACTS else {"files": FILES[name]}
    hostile = resigned(model, tmp_path / "model", **facts)
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as error:
            belong.load_model(hostile, device="cpu").predict(np.zeros((28, 28), np.uint8))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error.value, IntegrityError)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    assert peak < MOST_BYTES


def test_the_card_of_a_model_has_no_control_characters(model: Path, tmp_path: Path) -> None:
    hostile = resigned(
        model, tmp_path / "model", facts=fact("created_by", "belong", value="\x1b[2J9")
    )
    assert r"belong \x1b[2J9" in belong.load_model(hostile, device="cpu").card


Place = tuple[str | int, ...]
GONE = object()
VALUES = {
    "gone": GONE, "null": None, "true": True, "-1": -1, "2^63": 2**63, "1e308": 1e308,
    "1e-320": 1e-320, "a long text": "a" * 10**5, "an escape": "\x1b[2J\n", "[]": [],
    "[null]": [None], "{}": {}, "70 names": ["x"] * 70,
}  # fmt: skip


def places(value: object, place: Place = ()) -> Iterator[Place]:
    """Yield where each value of a manifest is; of a list, the first two."""
    if place:
        yield place
    inside = dict(enumerate(value[:2])) if isinstance(value, list) else value
    if isinstance(inside, dict):
        for key, one in inside.items():
            yield from places(one, (*place, key))


def put_at(values: Any, place: Place, value: object) -> None:
    for key in place[:-1]:
        values = values[key]
    if value is GONE:
        del values[place[-1]]
    else:
        values[place[-1]] = value


@pytest.mark.parametrize("kind", VALUES)
def test_every_value_of_a_manifest_may_be_wrong(kind: str, model: Path, tmp_path: Path) -> None:
    """Each change is refused in one line within 10 s, or harmless, such as a printed name."""
    manifest = json.loads((model / "manifest.json").read_text())
    del manifest["sha256"]
    copy, refused, count = tmp_path / "model", 0, 0
    for place in places(manifest):
        shutil.rmtree(copy, ignore_errors=True)
        start = time.process_time()
        resigned(model, copy, partial(put_at, place=place, value=VALUES[kind]))
        count += 1
        try:
            predictions = belong.load_model(copy, device="cpu").predict(
                np.zeros((28, 28), np.uint8)
            )
        except InputError as error:
            message = str(error)
            assert "\n" not in message, place
            assert "\x1b" not in message, place
            assert len(message) < 500, place
            refused += 1
        else:
            assert len(predictions) == 1, place
        assert time.process_time() - start < 10, place
    assert count > 90
    assert refused > count / 3


@pytest.mark.parametrize("name", OF_MODELS)
def test_arrays_of_other_axes_are_refused_before_they_are_used(name: str) -> None:
    kind = OF_MODELS[name]
    sizes = {"c": 3, "1": 3, "p": 100} | dict.fromkeys("bdehmnrkMHD", 4)
    arrays = {
        entry.partition(" ")[0]: np.zeros([sizes[axis] for axis in entry.partition(" ")[2]])
        for entry in filter(None, kind.axes.split(", "))
    }
    check_axes(kind, arrays, classes=3)
    for array, values in arrays.items():
        others = [values[None], *([values[:2]] if values.ndim and len(values) == 3 else [])]
        for other in others:
            with pytest.raises(ValueError, match=f"^{array}: expected an array"):
                check_axes(kind, arrays | {array: other}, classes=3)
    if "p" in kind.axes:
        with pytest.raises(ValueError, match="expected an array"):
            check_axes(kind, {name: np.zeros((3, 101, 4)) for name in arrays}, classes=3)


@pytest.mark.parametrize("facts", [
    fact("members", value=["energy", "of_elsewhere"]),
    lambda values: values.update(detector="of_elsewhere", members=[]),
])  # fmt: skip
def test_a_detector_that_this_copy_does_not_have_is_named(
    facts: Callable[[dict[str, Any]], object], model: Path, tmp_path: Path
) -> None:
    files = {"calibration": lambda arrays: arrays.update(of_elsewhere=arrays["energy"])}
    copy = resigned(model, tmp_path / "model", facts, files)
    with pytest.raises(IntegrityError) as error:
        belong.load_model(copy).predict(np.zeros((28, 28), np.uint8))
    assert "'of_elsewhere'; expected" in str(error.value)
    assert "a detector that this copy of belong does not have" in str(error.value)


def test_the_same_model_with_its_own_facts_is_taken(model: Path, tmp_path: Path) -> None:
    copy = resigned(model, tmp_path / "model")
    assert len(belong.load_model(copy).predict(np.zeros((28, 28), np.uint8))) == 1


def test_a_file_that_claims_more_than_any_model_has_is_not_read(
    model: Path, tmp_path: Path
) -> None:
    copy = resigned(model, tmp_path / "model", fact("files", "training.safetensors", "bytes",
                                                    value=2**40))  # fmt: skip
    with (copy / "training.safetensors").open("r+b") as file:
        file.truncate(2**40)  # a sparse file, which takes no space on the disk
    with pytest.raises(IntegrityError, match="for this network, got"):
        belong.load_model(copy)


@pytest.mark.parametrize("name", ["network", "backbone"])
@pytest.mark.parametrize("facts", [fact("alpha", value=0.1), standing_on("test_efficientnet")])
def test_weights_that_no_network_of_its_name_has_are_not_read(
    name: str, facts: Callable[[dict[str, Any]], object], model: Path, tmp_path: Path
) -> None:
    size = MOST_TOTAL + 2**26

    def change(values: dict[str, Any]) -> None:
        facts(values)
        values["files"][f"{name}.safetensors"] = {"sha256": "0" * 64, "bytes": size}

    copy = resigned(model, tmp_path / "model", change)
    with (copy / f"{name}.safetensors").open("ab") as file:
        file.truncate(size)
    with pytest.raises(
        IntegrityError, match=r"expected files of at most \d+ bytes for this network"
    ):
        belong.load_model(copy)


def test_a_hole_in_the_place_of_a_large_networks_weights_is_not_read(
    model: Path, tmp_path: Path
) -> None:
    def change(values: dict[str, Any]) -> None:
        standing_on(LARGE)(values)
        values["files"]["backbone.safetensors"] = {"sha256": "0" * 64, "bytes": 2**32}

    copy = resigned(model, tmp_path / "model", change)
    with (copy / "backbone.safetensors").open("wb") as file:
        file.truncate(2**32)
    with pytest.raises(IntegrityError, match=r"expected a file of at least \d+ bytes, the weights"):
        belong.load_model(copy)


# --- trees ---------------------------------------------------------------------------------------


def trees(**changes: list[int]) -> isolation_forest.Forest:
    columns: dict[str, Any] = {
        "nodes": [3], "axis": [0, -2, -2], "cut": [0.0] * 3, "left": [1, -1, -1],
        "right": [2, -1, -1], "depth": [0.0, 1.0, 1.0],
    }  # fmt: skip
    tensors = {name: torch.tensor(column) for name, column in (columns | changes).items()}
    return isolation_forest.Forest(**tensors)


def test_a_forest_that_was_grown_is_one() -> None:
    x = torch.rand((300, 5), generator=torch.Generator().manual_seed(0))
    isolation_forest.check(isolation_forest.fit(x, trees=7, sample=256, seed=0))
    isolation_forest.check(trees())


CHAIN = 40
LONG = {
    "nodes": [2 * CHAIN + 1], "axis": [0, -2] * CHAIN + [-2], "cut": [0.0] * (2 * CHAIN + 1),
    "left": [n + 1 if n % 2 == 0 else -1 for n in range(2 * CHAIN)] + [-1],
    "right": [n + 2 if n % 2 == 0 else -1 for n in range(2 * CHAIN)] + [-1],
    "depth": [0.0] * (2 * CHAIN + 1),
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"left": [0, -1, -1]}, {"right": [3, -1, -1]}, {"axis": [0, 0, -2]}, {"nodes": [2]},
        {"nodes": [-1, 4]}, {"nodes": [3, 0]}, {"left": [1, -1]}, LONG,
    ],
    ids=["its own child", "beyond the tree", "a cut without children", "too few", "negative",
         "an empty tree", "a column too short", "40 levels"],
)  # fmt: skip
def test_arrays_that_form_no_tree_are_refused(changes: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match="isolation forest"):
        isolation_forest.check(trees(**changes))


# --- scores that are not finite ------------------------------------------------------------------

ODD = np.array([np.nan, np.inf, -np.inf], np.float32)


def test_no_score_that_is_not_finite_belongs() -> None:
    assert decide(ODD, 5.0).tolist() == [False] * 3
    assert decide(np.array([4.0, 5.0, 6.0]), 5.0).tolist() == [True, True, False]


def test_to_combined_a_score_that_is_not_finite_is_more_surprising_than_any() -> None:
    held_out = np.arange(3000.0)
    surprise = Surprise.fit(held_out, tail=0.1)
    assert surprise(ODD).tolist() == [np.inf] * 3
    combination = Combination.fit({"a": held_out, "b": held_out}, tail=0.1)
    usual = np.zeros(3)
    assert not decide(combination.score({"a": usual, "b": ODD}), 1e9).any()


def test_calibration_scores_that_are_no_numbers_are_refused() -> None:
    scores = np.array([*range(99), np.nan])
    with pytest.raises(InputError, match="not a number"):
        conformal.threshold(scores, alpha=0.1)
    with pytest.raises(InputError, match="not finite"):
        Surprise.fit(scores, tail=0.1)


def test_a_score_that_is_no_number_is_told_as_the_largest_one_and_rejected(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A detector that gives finite scores on its trial may yet fail on an image."""
    loaded = belong.load_model(model, device="cpu")
    (detector,) = (one for name, one in loaded.predictor._detectors.items() if name == "energy")
    monkeypatch.setattr(type(detector), "score", lambda _self, _views: torch.tensor([torch.nan]))
    predictions = loaded.predict(np.zeros((28, 28), np.uint8))
    assert predictions.belongs.tolist() == [False]
    assert predictions.score[0] == np.finfo(np.float32).max
    assert predictions.p_value[0] == 1 / 41
