"""A malicious saved panel with valid checksums: refused in one line, before it takes memory."""

import hashlib
import json
import shutil
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import belong
from belong.commands.evaluate import panel_file
from belong.commands.main import main
from belong.detectors.base import check_axes
from belong.detectors.panel import PANEL, FeatureKnn
from belong.prediction.manifest import IntegrityError
from tests.hostile_facts import fact

Arrays = dict[str, np.ndarray]
N, C, D, H, M = 120, 3, 6, 5, 4

pytestmark = pytest.mark.robustness

MOST_BYTES = 2**28  # that Python may take for the answer
RNG = np.random.default_rng(0)
LABELS = np.arange(N) % C
ROWS = {
    name: (RNG.normal(size=(N, width)) + LABELS[:, None]).astype(np.float32)
    for name, width in (("features", D), ("hidden", H), ("maps", M))
}
WEIGHT = RNG.normal(size=(C, D)).astype(np.float32)
BIAS = RNG.normal(size=C).astype(np.float32)


def fitted(**options: Any) -> "belong.Panel":
    return belong.fit_panel(ROWS, labels=LABELS, weight=WEIGHT, bias=BIAS, **options)


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a panel of all detectors."""
    folder = tmp_path_factory.mktemp("panels") / "panel"
    fitted().save(folder)
    return folder


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Save a panel of each detector that has arrays."""
    root = tmp_path_factory.mktemp("single")
    for name, method in PANEL.items():
        if method.kind.axes:
            fitted(detectors=[name]).save(root / name)
    return sorted(root.iterdir())


def resigned(
    panel: Path,
    to: Path,
    facts: Callable[[dict[str, Any]], object] = lambda _facts: None,
    arrays: Callable[[Arrays], object] | bytes = lambda _arrays: None,
) -> Path:
    """Copy a panel with other facts or arrays, and the SHA-256 that belongs to them."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(panel, to)
    content = arrays
    if not isinstance(content, bytes):
        values = load_file(to / "panel.safetensors")
        content(values)
        content = save(values)
    (to / "panel.safetensors").write_bytes(content)
    manifest = json.loads((to / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256(content).hexdigest()
    facts(manifest)
    (to / "manifest.json").write_text(json.dumps(manifest))
    return to


def refused(folder: Path) -> bool:
    """Return whether a panel is refused in one line within 10 s and little memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        scores = belong.load_panel(folder).score(ROWS)
    except belong.InputError as error:
        message = str(error)
        assert "\n" not in message
        assert "\x1b" not in message
        assert len(message) < 500
        assert str(folder) in message
        return True
    else:
        assert all(np.isfinite(values).all() for values in scores.values())
        return False
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert time.process_time() - start < 10
        assert peak < MOST_BYTES


def header(**arrays: tuple[str, list[int], list[int]]) -> bytes:
    """Return a safetensors file of arrays of these types, shapes and bytes."""
    about = {
        name.replace("__", "/"): {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        for name, (dtype, shape, offsets) in arrays.items()
    }
    text = json.dumps(about).encode()
    return struct.pack("<Q", len(text)) + text + bytes(64)


def text_header(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def named(count: int) -> dict[str, str]:
    return {f"e{n}": "energy" for n in range(count)}


FACTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "500,000 detectors": lambda v: v["detectors"].update(named(5 * 10**5)),
    "300 detectors": lambda v: v["detectors"].update(named(300)),
    "no detectors": fact("detectors", value={}),
    "an unknown detector": fact("detectors", "energy", value="oracle"),
    "another detector of the same arrays": fact("detectors", "mahalanobis_tied", value="gmm"),
    "a detector without its arrays": fact("detectors", "more", value="mahalanobis"),
    "a name that is a formula": fact("detectors", "=1+1", value="energy"),
    "a name that clears the screen": fact("detectors", "\x1b[2J", value="energy"),
    "a name of the last layer": fact("detectors", "head", value="energy"),
    "a name of 100,000 letters": fact("detectors", "a" * 10**5, value="energy"),
    "a width of 0": fact("widths", "features", value=0),
    "a negative width": fact("widths", "features", value=-6),
    "a width of 10^18": fact("widths", "logits", value=10**18),
    "a width of 10^400": fact("widths", "maps", value=10**400),
    "a width as text": fact("widths", "features", value="6"),
    "another width": fact("widths", "hidden", value=6),
    "a class too many": fact("widths", "logits", value=C + 1),
    "no widths": fact("widths", value={}),
    "a layer that is none": fact("widths", "codes", value=3),
    "a layer missing": lambda v: v["widths"].pop("hidden"),
    "a reason of 10 MB": fact("left_out", value={"energy": "a" * 10**7}),
    "100,000 reasons": fact("left_out", value={f"x{n}": "" for n in range(10**5)}),
    "100,000 notes": fact("notes", value=["x"] * 10**5),
    "a note that clears the screen": fact("notes", value=["\x1b[2J"]),
    "another format": fact("format", value=2),
    "another fact": fact("code", value="import os"),
}  # fmt: skip


def array(name: str, value: Any) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: value(arrays[name]) if callable(value) else value})


DEEP = "[" * 10**6
FILES: dict[str, Callable[[Arrays], object] | bytes] = {
    "2^62 rows": header(feature_knn__directions=("F32", [2**62, D], [0, 64])),
    "2^63 rows of nothing": header(feature_knn__directions=("F32", [2**63, 0], [0, 0])),
    "10^400 rows": header(feature_knn__directions=("F32", [10**400, D], [0, 64])),
    "negative rows": header(feature_knn__directions=("F32", [-2, -2], [0, 16])),
    "100 axes": header(energy__x=("F32", [1] * 100, [0, 4])),
    "beyond the file": header(energy__x=("F32", [2**30], [0, 2**32])),
    "bytes shared by 1,000 arrays": header(
        **{f"energy__x{n}": ("F32", [16], [0, 64]) for n in range(1000)}
    ),
    "bfloat16": header(head__bias=("BF16", [C], [0, 6])),
    "float8": header(head__bias=("F8_E4M3", [C], [0, 3])),
    "an unknown type": header(head__bias=("F4", [C], [0, 3])),
    "a type that is a list": header(head__bias=(["F32"], [C], [0, 12])),  # type: ignore[arg-type]
    "a deep header": text_header(DEEP),
    "a header of nothing": text_header("null"),
    "a header of 20 MB": text_header(" " * (20 * 10**6) + "{}"),
    "a header longer than the file": struct.pack("<Q", 2**62),
    "no header": b"",
    "an array of nobody": lambda a: a.update({"oracle/x": BIAS}),
    "an array without a detector": lambda a: a.update({"x": BIAS}),
    "an array out of the folder": lambda a: a.update({"../../x": BIAS}),
    "an array too many": lambda a: a.update({"energy/x": BIAS}),
    "no last layer": lambda a: (a.pop("head/weight"), a.pop("head/bias")),
    "half a last layer": lambda a: a.pop("head/bias"),
    "a last layer of other classes": array("head/weight", np.ones((C + 1, D), np.float32)),
    "5 million Gaussians": array("mahalanobis/whitening", np.ones((500_000, 1, 1), np.float32)),
    "500,000 classes": lambda a: a.update({
        "gmm/means": np.ones((5 * 10**5, D), np.float32),
    }),
    "k of 0": array("feature_knn/k", np.array(0)),
    "k of -1": array("feature_knn/k", np.array(-1)),
    "k of 2^62": array("nnguide/k", np.array(2**62)),
    "k of 1e300": array("hidden_knn/k", np.array(1e300)),
    "a temperature of 0": array("odin_no_step/temperature", np.array(0.0)),
    "2^62 revised classes": array("openmax/revised", np.array(2**62)),
    "no revised class": array("openmax/revised", np.array(0)),
    "a share of 1e300": array("lts/share", np.array(1e300)),
    "thresholds of 0": array("mahalanobis/thresholds", lambda x: x * 0),
    "101 powers": lambda a: a.update({
        f"gram/{end}": np.repeat(a[f"gram/{end}"], 11, axis=1) for end in ("low", "high")
    }),
    "10,000 repeats": array("weiper_msp/weights", lambda x: np.repeat(x, 100, axis=0)),
}  # fmt: skip


@pytest.mark.parametrize("name", [*FACTS, *FILES])
def test_it_is_refused_in_one_line_and_takes_no_memory(
    name: str, panel: Path, tmp_path: Path
) -> None:
    change: dict[str, Any] = {"facts": FACTS[name]} if name in FACTS else {"arrays": FILES[name]}
    assert refused(resigned(panel, tmp_path / "panel", **change))


@pytest.mark.parametrize(
    "content",
    [DEEP, '{"format":' * 10**5, "", "null", "[]", "\0", '{"format": 1e400}', " " * (2**24 + 1)],
    ids=["deep", "deep objects", "empty", "null", "a list", "a zero byte", "infinite", "too long"],
)
def test_a_manifest_that_is_none_is_refused_in_one_line(
    content: str, panel: Path, tmp_path: Path
) -> None:
    copy = resigned(panel, tmp_path / "panel")
    (copy / "manifest.json").write_text(content)
    assert refused(copy)


@pytest.mark.parametrize("name", ["manifest.json", "panel.safetensors"])
def test_a_file_of_a_terabyte_that_takes_no_space_is_not_read(
    name: str, panel: Path, tmp_path: Path
) -> None:
    copy = resigned(panel, tmp_path / "panel")
    with (copy / name).open("r+b") as file:
        file.truncate(2**40)
    assert refused(copy)


@pytest.mark.parametrize("name", ["manifest.json", "panel.safetensors"])
def test_an_endless_file_is_not_read(name: str, panel: Path, tmp_path: Path) -> None:
    copy = resigned(panel, tmp_path / "panel")
    (copy / name).unlink()
    (copy / name).symlink_to("/dev/zero")
    assert refused(copy)


def without(name: str) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.pop(name)


# Detectors whose Gaussians may be those of principal components.
RANK_IS_FREE = [
    "mahalanobis/whitening", "mahalanobis_min/whitening", "mahalanobis_maps/whitening",
    "mahalanobis_hidden/whitening",
    *(f"mahalanobis_layers/{layer}_whitening" for layer in ("maps", "hidden", "features")),
]  # fmt: skip
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "NaN": lambda x: np.full(x.shape, np.nan, np.float32),
    "one NaN": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 0, np.nan, x),
    "infinite": lambda x: np.full(x.shape, np.inf, np.float32),
    "uint8": lambda x: np.zeros(x.shape, np.uint8),
    "bool": lambda x: np.zeros(x.shape, bool),
    "float16": lambda x: x.astype(np.float16),
    "nothing": lambda x: np.zeros((0, *x.shape[1:]), x.dtype),
    "another axis": lambda x: x[None],
    "five axes": lambda x: x[(None,) * 5],
    "flat": lambda x: x.reshape(-1) if x.ndim > 1 else x.reshape(1, -1),
    "a column more": lambda x: np.concatenate((x, x[..., :1]), axis=-1) if x.ndim else x[None],
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_array_may_be_wrong(change: str, single: list[Path], tmp_path: Path) -> None:
    count = 0
    for folder in single:
        for name in load_file(folder / "panel.safetensors"):
            copy = resigned(folder, tmp_path / "panel", arrays=array(name, CHANGES[change]))
            rank_is_free = name.endswith("residual") or name in RANK_IS_FREE
            is_sound = (change == "a column more" and rank_is_free) or (
                change == "infinite" and name in ("fdbd/apart", "kl_matching/log_typical")
            )
            assert refused(copy) or is_sound, name
            count += 1
    assert count > 100


def test_every_array_may_be_missing(single: list[Path], tmp_path: Path) -> None:
    for folder in single:
        for name in load_file(folder / "panel.safetensors"):
            copy = resigned(folder, tmp_path / "panel", arrays=without(name))
            assert refused(copy), name


@pytest.mark.parametrize("value", [0.0, 3e38, -3e38, 1e-45])
def test_an_array_of_absurd_values_is_refused_or_does_no_harm(
    value: float, single: list[Path], tmp_path: Path
) -> None:
    for folder in single:
        for name in load_file(folder / "panel.safetensors"):
            absurd = array(name, lambda x: np.full(x.shape, _of_type(value, x.dtype), x.dtype))
            refused(resigned(folder, tmp_path / "panel", arrays=absurd))


def _of_type(value: float, dtype: np.dtype[Any]) -> float:
    return value if dtype.kind == "f" else float(np.clip(value, -(2.0**62), 2.0**62))


VALUES: dict[str, Any] = {
    "null": None, "true": True, "-1": -1, "2^63": 2**63, "1e308": 1e308, "a text": "a" * 10**5,
    "an escape": "\x1b[2J\n", "[]": [], "[null]": [None], "{}": {}, "a path": "../../etc/passwd",
}  # fmt: skip


def places(value: object, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield where each value of a manifest is."""
    if place:
        yield place
    for key, one in value.items() if isinstance(value, dict) else ():
        yield from places(one, (*place, key))


@pytest.mark.parametrize("kind", VALUES)
def test_every_value_of_a_manifest_may_be_wrong(kind: str, tmp_path: Path) -> None:
    fitted(detectors=["energy", "feature_knn", "vim"]).save(tmp_path / "own")
    every = list(places(json.loads((tmp_path / "own" / "manifest.json").read_text())))
    assert len(every) == 13
    harmless = {(("notes",), "[]"), (("left_out",), "{}"), (("format",), "true")}
    for place in every:
        copy = resigned(tmp_path / "own", tmp_path / "panel", fact(*place, value=VALUES[kind]))
        assert refused(copy) or (place, kind) in harmless, place


def test_every_value_of_a_manifest_may_be_missing(panel: Path, tmp_path: Path) -> None:
    every = list(places(json.loads((panel / "manifest.json").read_text())))
    assert len(every) > 50
    for place in every:
        is_harmless = place[0] == "detectors" and not PANEL.get(place[-1], PANEL["vim"]).kind.axes
        assert refused(resigned(panel, tmp_path / "panel", _drop(place))) or is_harmless, place


def _drop(place: tuple[str, ...]) -> Callable[[dict[str, Any]], object]:
    def change(values: dict[str, Any]) -> None:
        for key in place[:-1]:
            values = values[key]
        del values[place[-1]]

    return change


def test_the_command_answers_in_one_line(
    panel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "rows.npz", allow_pickle=False, **ROWS)
    rows = str(tmp_path / "rows.npz")
    for name, code in (("2^62 rows", 4), ("k of 0", 4), ("bfloat16", 4)):
        copy = resigned(panel, tmp_path / "panel", arrays=FILES[name])
        assert main(["evaluate", str(copy), rows, rows, "-o", str(tmp_path / "out")]) == code
        output = capsys.readouterr()
        assert output.err.count("\n") == 1
        assert not (tmp_path / "out").exists()
    copy = resigned(panel, tmp_path / "panel", FACTS["a width of 10^400"])
    assert main(["evaluate", str(copy), rows, rows, "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- sound panels --------------------------------------------------------------------------------


def test_every_detector_of_the_panel_states_the_axes_of_its_arrays(panel: Path) -> None:
    arrays = load_file(panel / "panel.safetensors")
    for name, method in PANEL.items():
        of_name = {key.rpartition("/")[2] for key in arrays if key.startswith(f"{name}/")}
        stated = {entry.partition(" ")[0] for entry in filter(None, method.kind.axes.split(", "))}
        assert of_name == stated


def test_the_same_panel_with_its_own_facts_is_taken(panel: Path, tmp_path: Path) -> None:
    assert not refused(resigned(panel, tmp_path / "panel"))


@pytest.mark.parametrize(
    "inputs",
    [("features",), ("features", "labels"), ("features", "labels", "head"), ("features", "head"),
     ("logits",), ("logits", "labels"), ("hidden", "labels"), ("maps", "labels"),
     ("features", "hidden", "labels"), ("features", "hidden", "maps", "labels")],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e15])
def test_a_panel_of_any_layers_is_loaded(
    inputs: tuple[str, ...], scale: float, tmp_path: Path
) -> None:
    """Classes 1 and 4 of 6 have no rows; a third of the features are 0, as after a ReLU."""
    rng = np.random.default_rng(1)
    labels = rng.choice([0, 2, 3, 5], N)
    rows = {
        name: scale * (rng.normal(size=(N, width)) + labels[:, None]).clip(min=0)
        for name, width in (("features", D), ("hidden", H), ("maps", M), ("logits", 6))
        if name in inputs
    }
    options: dict[str, Any] = {"labels": labels if "labels" in inputs else None}
    if "head" in inputs:
        options |= {"weight": rng.normal(size=(6, D)), "bias": rng.normal(size=6)}
    one = belong.fit_panel(rows, **options)
    one.save(tmp_path / "panel")
    loaded = belong.load_panel(tmp_path / "panel")
    before, after = one.score(rows), loaded.score(rows)
    assert before.keys() == after.keys()
    for name, scores in before.items():
        np.testing.assert_allclose(after[name], scores, rtol=1e-4, atol=1e-6)


def test_names_with_a_slash_keep_their_arrays(tmp_path: Path) -> None:
    both = {name: FeatureKnn.with_parameters(k=k) for name, k in (("knn", 5), ("knn/1", 1))}
    one = fitted(detectors=both)
    one.save(tmp_path / "panel")
    again = belong.load_panel(tmp_path / "panel").score(ROWS)
    for name, scores in one.score(ROWS).items():
        np.testing.assert_array_equal(again[name], scores)


@pytest.mark.parametrize("name", ["head", "=1+1", "a\nb", "a" * 101])
def test_a_panel_that_would_not_be_loaded_is_not_saved(name: str, tmp_path: Path) -> None:
    one = fitted(detectors={name: FeatureKnn})
    with pytest.raises(belong.InputError, match=r"cannot be saved$") as error:
        one.save(tmp_path / "panel")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "panel").exists()


def test_a_panel_too_large_to_be_loaded_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel_file, "MOST_BYTES", panel_file.MOST_MANIFEST + 100)
    with pytest.raises(belong.InputError, match="expected a panel of at most 4 GiB"):
        fitted(detectors=["feature_knn"]).save(tmp_path / "panel")


def test_too_many_matrices_are_refused(panel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_file, "MOST_MATRICES", 20)
    with pytest.raises(IntegrityError, match="expected at most 20 matrices, got"):
        belong.load_panel(panel)


def test_the_number_of_training_rows_is_bounded() -> None:
    class Rows:
        shape = (2**22 + 1, 1)

    class Number:
        shape = ()

    with pytest.raises(ValueError, match="directions: expected an array"):
        check_axes(FeatureKnn.kind, {"directions": Rows(), "k": Number()})
