"""An ONNX graph gives the verdicts of the model, without torch."""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from belong.calibration.conformal import SAME
from belong.commands.main import main
from belong.detectors.base import Detector
from belong.detectors.energy import Energy
from belong.detectors.registry import DETECTORS, OF_MODELS
from belong.models.autoencoder import Autoencoder
from belong.models.backbones.card import BackboneCard
from belong.models.backbones.catalog import backbone_named
from belong.models.backbones.networks import FineTunedBackbone, FrozenBackbone
from belong.models.base import Stored
from belong.models.lenet import MAPS_SIDE, LeNet
from belong.prediction.build_bundle import of_detectors
from belong.prediction.bundle import Arrays, Bundle
from belong.prediction.manifest import IntegrityError
from belong.prediction.onnx.export import model as graph_of
from belong.prediction.onnx.verify import MOST, Compared, check, compare, relative_differences
from belong.prediction.predictor import Predictor
from belong.runtime.storage import load_arrays
from tests import icc_profiles as icc
from tests.imports import ROOT
from tests.small_bundle import a_bundle

PARTS = ("normal/test", "anomaly/test")
EXAMPLE = ROOT / "examples" / "onnx_verdict.py"


@pytest.fixture(scope="module")
def bundle(pipeline: Path) -> Bundle:
    return Bundle.load(pipeline / "model")


@pytest.fixture(scope="module")
def pipeline_images(pipeline: Path) -> np.ndarray:
    """Return the test images (n, 1, 28, 28)."""
    names = [f"{part}/images" for part in PARTS]
    return np.concatenate(list(load_arrays(pipeline / "images", *names).values()))


@pytest.fixture(scope="module")
def photos(pipeline_images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 6 digits and 6 clothes as PNG, one of them in colour and of another size."""
    folder = tmp_path_factory.mktemp("photos")
    for row in (*range(6), *range(500, 506)):
        Image.fromarray(pipeline_images[row, 0]).save(folder / f"{row:03}.png")
    Image.fromarray(pipeline_images[0, 0]).convert("RGB").resize((50, 40)).save(
        folder / "color.png"
    )
    return folder


def written(bundle: Bundle, to: Path) -> Path:
    to.write_bytes(graph_of(bundle).SerializeToString(deterministic=True))
    return to


def graph_outputs(bundle: Bundle, images: np.ndarray) -> dict[str, np.ndarray]:
    """Run the graph on images (n, ch, h, w)."""
    session = onnxruntime.InferenceSession(graph_of(bundle).SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(
        zip(names, session.run(None, {"images": images.transpose(0, 2, 3, 1)}), strict=True)
    )


def with_facts(bundle: Bundle, arrays: Mapping[str, Arrays], **facts: object) -> Bundle:
    """Return a bundle with some other arrays, and another manifest."""
    return Bundle(bundle.manifest.model_copy(update=facts), {**bundle.arrays, **arrays})


# --- the verdicts --------------------------------------------------------------------------------


def test_the_graph_says_what_the_model_says(
    bundle: Bundle, pipeline_images: np.ndarray, tmp_path: Path
) -> None:
    file = written(bundle, tmp_path / "model.onnx")
    comparison = compare(
        bundle, file, [pipeline_images[:300], pipeline_images[300:301], pipeline_images[301:]]
    )
    assert (comparison.n, comparison.labels, comparison.verdicts) == (len(pipeline_images), 0, 0)
    assert comparison.detectors <= MOST
    assert comparison.combined <= MOST
    check(comparison, "model.onnx")


def test_probability_and_p_value_are_those_of_the_model(
    bundle: Bundle, pipeline_images: np.ndarray
) -> None:
    actual = graph_outputs(bundle, pipeline_images[:50])
    expected = Predictor(bundle, device=torch.device("cpu")).score(pipeline_images[:50])
    np.testing.assert_allclose(actual["probability"], expected.probability, rtol=1e-5)
    steps = np.abs(actual["p_value"] - expected.p_value) * (bundle.manifest.n_calibration + 1)
    assert steps.max() <= 1 + 1e-9  # one held-out image, where scores tie but for the last bit
    np.testing.assert_array_equal(actual["logits"].argmax(axis=1), actual["label"])
    assert actual["threshold"] == np.float32(bundle.manifest.threshold)


@pytest.mark.parametrize("name", DETECTORS)
def test_each_detector_scores_as_in_the_library(
    pipeline: Path, bundle: Bundle, pipeline_images: np.ndarray, name: str
) -> None:
    uses = {name, "mahalanobis"}
    gaussians, head, others = (
        load_arrays(pipeline / file) for file in ("gaussians", "head", "detectors")
    )
    arrays = {
        "detectors": of_detectors(gaussians, head, others, uses),
        "autoencoder": load_arrays(pipeline / "autoencoder"),
        "calibration": {name: np.arange(3, dtype=np.float32)},
    }
    alone = with_facts(bundle, arrays, detector=name, members=[])
    images = np.concatenate((pipeline_images[:20], pipeline_images[-20:]))
    expected = Predictor(alone, device=torch.device("cpu")).score(images).score
    actual = graph_outputs(alone, images)["score"]
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * expected.std())


# --- the networks --------------------------------------------------------------------------------


def of_network(
    kind: str,
    shape: tuple[int, int, int],
    arrays: Mapping[str, Stored],
    card: BackboneCard | None = None,
) -> Bundle:
    """Return a bundle with this network for images (ch, h, w); `energy` is in force."""
    channels, height, width = shape
    network = arrays["network"]
    assert isinstance(network, LeNet | FineTunedBackbone | FrozenBackbone)
    d = network.classifier.in_features
    gaussians = {
        "mahalanobis/means": np.zeros((2, d), np.float32),
        "mahalanobis/thresholds": np.ones(2, np.float32),
        "mahalanobis/whitening": np.eye(d, dtype=np.float32)[None],
    }
    form = a_bundle().manifest.form.model_copy(
        update={"channels": channels, "height": height, "width": width}
    )
    arrays_by_file: dict[str, Arrays] = {name: one.arrays() for name, one in arrays.items()}
    arrays_by_file |= {"detectors": gaussians, "calibration": {"energy": np.zeros(3, np.float32)}}
    arrays_by_file["training"] = {
        "features": np.zeros((1, d), np.float32),
        "labels": np.zeros(1, np.int64),
        "thumbnails": np.zeros((1, channels, height, width), np.uint8),
    }
    facts = {"network": kind, "shape": network.shape, "form": form, "backbone": card}
    return Bundle(a_bundle().manifest.model_copy(update=facts), arrays_by_file)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def assert_same(bundle: Bundle, images: np.ndarray) -> None:
    actual, expected = (
        graph_outputs(bundle, images),
        Predictor(bundle, device=torch.device("cpu")).score(images),
    )
    np.testing.assert_allclose(actual["score"], expected.score, rtol=1e-4)
    np.testing.assert_array_equal(actual["label"], expected.label)


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("efficientnet_lite0", (1, 40, 40)),  # its paddings are those of TensorFlow
        ("efficientnet_b0", (3, 40, 47)),
        ("test_vit", (3, 160, 160)),
    ],
)
def test_a_frozen_backbone_is_in_the_graph(name: str, shape: tuple[int, int, int]) -> None:
    backbone = backbone_named(name, "none")
    network = FrozenBackbone.above(backbone.card, classes=2, embedding=8)
    arrays = {"network": network, "backbone": backbone}
    assert_same(of_network("frozen", shape, arrays, backbone.card), pixels(3, *shape))


@pytest.mark.pipeline
def test_a_backbone_that_was_trained_is_in_the_graph() -> None:
    backbone = backbone_named("test_efficientnet", "none")
    network = FineTunedBackbone(classes=2, backbone=backbone)
    bundle = of_network("fine_tuned", (3, 64, 64), {"network": network}, backbone.card)
    assert_same(bundle, pixels(2, 3, 64, 64))


def test_maps_and_codes_of_images_of_odd_sizes_are_those_of_the_library() -> None:
    """Neither 25 / 2 nor 31 / 2 is a multiple of 7, and 25 x 31 pixels are averaged to 13 x 16."""
    network = LeNet(classes=2, channels=3, height=25, width=31)
    coder = Autoencoder(3 * 13 * 16, 5)
    bundle = of_network("lenet", (3, 25, 31), {"network": network, "autoencoder": coder})
    m = 6 * MAPS_SIDE**2
    detectors = {
        **bundle.arrays["detectors"],
        "mahalanobis_maps/means": np.zeros((2, m), np.float32),
        "mahalanobis_maps/thresholds": np.ones(2, np.float32),
        "mahalanobis_maps/whitening": np.eye(m, dtype=np.float32)[None],
    }
    for name in ("mahalanobis_maps", "reconstruction"):
        calibration = {name: np.zeros(3, np.float32)}
        assert_same(
            with_facts(bundle, {"calibration": calibration, "detectors": detectors}, detector=name),
            pixels(4, 3, 25, 31),
        )


# --- the file ------------------------------------------------------------------------------------


def test_the_same_model_gives_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    first, second = (written(bundle, tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second


def test_the_metadata_says_what_the_manifest_does(bundle: Bundle) -> None:
    session = onnxruntime.InferenceSession(graph_of(bundle).SerializeToString())
    about, manifest = session.get_modelmeta().custom_metadata_map, bundle.manifest
    assert json.loads(about["class_names"]) == manifest.class_names
    assert json.loads(about["form"])["resize"] == "cover"
    assert json.loads(about["decoding"])["jpeg_draft"] == [56, 56]  # twice the sides of the form
    assert json.loads(about["detectors"]) == manifest.members
    assert about["manifest_sha256"] == manifest.digest
    assert float(about["threshold"]) == manifest.threshold


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_a_graph_and_says_that_nothing_differs(
    pipeline: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.onnx"
    words = [str(pipeline / "model"), "-o", str(file), "--verify", str(photos)]
    assert main(["export", *words]) == 0
    compared, size = capsys.readouterr().out.splitlines()
    assert compared.startswith("13 images compared: 0 classes and 0 verdicts differ; ")
    assert re.fullmatch(rf"{re.escape(str(file))}: \d+\.\d MB", size)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.fixture(scope="module")
def jpegs(pipeline_images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write large JPEGs, which `score` decodes at a part of their size, one turned, one in P3."""
    folder, rng = tmp_path_factory.mktemp("jpegs"), np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    options: dict[int, dict[str, Any]] = {
        0: {"exif": exif},
        1: {"icc_profile": icc.rgb(icc.DISPLAY_P3)},
    }
    for row in range(12):
        large = pipeline_images[row, 0].repeat(17, axis=0).repeat(17, axis=1)
        noisy = large[..., None] + rng.normal(0, 60, (*large.shape, 3))
        image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{row:03}.jpg", **options.get(row, {}))
    return folder


@pytest.mark.parametrize("images", ["photos", "jpegs"])
def test_the_example_gives_the_verdicts_of_score_where_there_is_no_torch(
    pipeline: Path, bundle: Bundle, images: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    photos: Path = request.getfixturevalue(images)
    model = str(pipeline / "model")
    assert main(["score", str(photos), "--model", model, "-o", str(tmp_path), "--no-gallery"]) == 0
    file = written(bundle, tmp_path / "model.onnx")
    paths = sorted(map(str, photos.iterdir()))
    code = "import runpy, sys; sys.modules.update(dict.fromkeys(['torch', 'belong'])); "
    code += "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"
    process = subprocess.run(
        [sys.executable, "-c", code, EXAMPLE, file, *paths],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file_handle:
        rows = list(csv.DictReader(file_handle))
    actual = [line.split() for line in process.stdout.splitlines()]
    expected = [[str(photos / row["path"]), row["class"], row["belongs"]] for row in rows]
    assert [[path, name, belongs] for path, name, _, belongs, _ in actual] == expected
    probabilities = [float(probability) for _, _, probability, _, _ in actual]
    assert probabilities == pytest.approx([float(row["probability"]) for row in rows], rel=1e-3)


def test_a_graph_of_another_threshold_is_told_by_its_verdicts(
    bundle: Bundle, pipeline_images: np.ndarray, tmp_path: Path
) -> None:
    other = written(with_facts(bundle, {}, threshold=0.0), tmp_path / "other.onnx")
    comparison = compare(bundle, other, [pipeline_images[:50]])
    belongs = Predictor(bundle, device=torch.device("cpu")).score(pipeline_images[:50]).belongs
    assert (comparison.labels, comparison.verdicts) == (0, belongs.sum())
    with pytest.raises(IntegrityError, match=r"^other: differs from the model; 50 images compared"):
        check(comparison, "other")


def test_a_verdict_that_an_allowed_difference_explains_is_a_tie_and_no_flip(
    bundle: Bundle, pipeline_images: np.ndarray, tmp_path: Path
) -> None:
    """The thresholds differ by more than what counts as equal, by half of what a score may."""
    scores = Predictor(bundle, device=torch.device("cpu")).score(pipeline_images[:50]).score
    threshold = np.float32(np.sort(scores)[25])
    unit = max(abs(float(threshold)), float(bundle.arrays["calibration"]["combined"].std()))
    accepts = with_facts(bundle, {}, threshold=float(threshold))
    rejects = with_facts(bundle, {}, threshold=float(threshold) - (SAME + 5e-5) * unit)
    comparison = compare(accepts, written(rejects, tmp_path / "model.onnx"), [pipeline_images[:50]])
    assert (comparison.verdicts, comparison.ties, comparison.is_same) == (
        0,
        (scores == threshold).sum(),
        True,
    )
    assert comparison.text.endswith("1 tie with held-out images")


@pytest.mark.parametrize(
    "differences",
    [{"labels": 1}, {"verdicts": 1}, {"steps": 2}, {"detectors": 2e-4}, {"combined": 2e-4}],
    ids=str,
)
def test_a_difference_is_an_error_of_integrity(differences: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError) as error:
        check(Compared(n=1000, **differences), "model.onnx")
    assert error.value.exit_code == 4


def test_no_difference_below_all_held_out_scores_counts() -> None:
    """The images of a training lie there: they are the ends of the ranges of `gram_maps`."""
    held_out, scores = np.array([2.0, 6.0]), np.array([0.0, 1.9, 3.0, 8.0, 2.0, 0.0])
    actual = np.array([0.1, 0.0, 2.0, 8.8, np.nan, 3.0])
    expected = [0, 0, 1 / 3, 0.1, np.inf, 1 / 2]
    assert relative_differences(actual, scores, held_out) == pytest.approx(expected)


def refused(words: list[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return the exit code and the line."""
    code = main(["export", *map(str, words)])
    (line,) = capsys.readouterr().err.splitlines()
    return code, line


def test_a_folder_that_is_no_model_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = refused([tmp_path, "-o", tmp_path / "a.onnx"], capsys)
    assert code == 2
    assert line == (
        f"belong export: {tmp_path}: expected the folder of a model, got no manifest.json"
    )


def test_an_altered_model_is_one_line(
    pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(pipeline / "model", tmp_path / "model")
    file = tmp_path / "model" / "detectors.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    code, line = refused([tmp_path / "model", "-o", tmp_path / "a.onnx"], capsys)
    assert code == 4
    assert line.endswith("is altered; its SHA-256 differs from the one in manifest.json")
    assert not (tmp_path / "a.onnx").exists()


def test_a_model_whose_arrays_do_not_fit_together_is_one_line(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = dict(bundle.arrays["network"])
    del arrays["classifier.bias"]
    with_facts(bundle, {"network": arrays}).save(tmp_path / "model")
    code, line = refused([tmp_path / "model", "-o", tmp_path / "model.onnx"], capsys)
    assert code == 4
    assert "the model does not fit together" in line


def test_a_detector_without_an_onnx_form_is_one_line(
    pipeline: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Formless(Energy):
        """`energy` without an ONNX form."""

        onnx = Detector.onnx  # type: ignore[assignment]

    monkeypatch.setitem(OF_MODELS, "energy", Formless)
    code, line = refused([pipeline / "model", "-o", tmp_path / "a.onnx"], capsys)
    assert code == 2
    assert line == (
        "belong export: the detector energy has no ONNX form; every other command works with it"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_replaced(
    pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.onnx").write_text("mine")
    code, line = refused([pipeline / "model", "-o", tmp_path / "a.onnx"], capsys)
    assert code == 2
    assert line == f"belong export: {tmp_path / 'a.onnx'}: exists; expected the name of a new file"
    assert (tmp_path / "a.onnx").read_text() == "mine"


def test_a_missing_folder_for_the_graph_is_named(
    pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = refused([pipeline / "model", "-o", tmp_path / "no" / "a.onnx"], capsys)
    assert code == 2
    assert line == f"belong export: {tmp_path / 'no'}: no such folder; expected one for a.onnx"


def test_a_folder_without_images_leaves_no_graph(
    pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none").mkdir()
    file = tmp_path / "a.onnx"
    words = [pipeline / "model", "-o", file, "--verify", tmp_path / "none"]
    code, line = refused(words, capsys)
    assert code == 2
    assert "none: expected images, got none" in line
    assert not file.exists()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_its_packages_the_command_says_what_brings_them(
    pipeline: Path, tmp_path: Path, package: str
) -> None:
    code = f"import sys; sys.modules['{package}'] = None; "
    code += "from belong.commands.main import main; sys.exit(main())"
    process = subprocess.run(
        [sys.executable, "-c", code, "export", pipeline / "model", "-o", tmp_path / "a.onnx"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr == (
        f"belong export: {package} is not installed; run pip install onnx onnxscript onnxruntime\n"
    )
