"""The verdict of an image is the same alone and in any batch, on the calibration images."""

import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from belong.models.backbones.catalog import backbone_named
from belong.models.backbones.networks import FrozenBackbone
from belong.prediction.bundle import Bundle
from belong.prediction.model import load_model
from belong.prediction.onnx.export import model as graph_of
from belong.prediction.prediction_files import guarantee_of
from belong.prediction.predictions import Scores
from belong.prediction.predictor import Predictor
from belong.prediction.rule_of_model import rule_of
from belong.runtime.errors import InputError
from belong.runtime.portable_math import FAST, PORTABLE, VARIABLE, VARIABLES
from belong.runtime.storage import load_arrays, save_arrays
from tests.small_manifest import a_manifest

CPU = torch.device("cpu")
SIZES = (1, 7, 64)
HELD_OUT = "normal/calibration"
# Scores each image of an array alone, in small batches and in one; fails where a bit differs.
COMPARE = """
import sys
import belong
import numpy as np
from tests.prediction.test_one_verdict import assert_one_verdict
assert_one_verdict(sys.argv[1], np.load(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model above frozen EfficientNet-Lite0, for 70 photos of noise that calibrate it."""
    folder, rng = tmp_path_factory.mktemp("frozen"), np.random.default_rng(0)
    backbone = backbone_named("efficientnet_lite0", "pretrained")
    network = FrozenBackbone.above(backbone.card, classes=2, embedding=84)
    images = rng.integers(0, 256, (70, 3, 64, 64), np.uint8)
    gaussians = {
        "means": rng.random((2, 84), np.float32),
        "whitening": rng.normal(size=(2, 84, 84)).astype(np.float32),
        "thresholds": np.ones(2, np.float32),
    }
    arrays: dict[str, dict[str, np.ndarray]] = {
        "network": network.arrays(),
        "backbone": backbone.arrays(),
        "detectors": {f"mahalanobis/{name}": array for name, array in gaussians.items()},
        "calibration": {"mahalanobis": rng.random(70, np.float32)},
        "training": {
            "features": np.zeros((1, 84), np.float32),
            "labels": np.zeros(1, np.int64),
            "thumbnails": images[:1],
        },
    }
    manifest = a_manifest()
    facts = {
        "network": "frozen",
        "shape": network.shape,
        "backbone": backbone.card,
        "form": manifest.form.model_copy(
            update={"channels": 3, "height": 64, "width": 64, "color": "rgb"}
        ),
        "detector": "mahalanobis",
        "n_calibration": 70,
    }
    Bundle(manifest.model_copy(update=facts), arrays).save(folder / "model")
    save_arrays(folder / "images", {f"{HELD_OUT}/images": images})
    return folder


def held_out(folder: Path) -> np.ndarray:
    name = f"{HELD_OUT}/images"
    return load_arrays(folder / "images", name)[name]


def assert_one_verdict(model: str, images: np.ndarray) -> None:
    predictor = Predictor(Bundle.load(model), device=CPU)
    whole = predictor.score(images)
    rng = np.random.default_rng(0)
    for size in SIZES:
        order = rng.permutation(len(images))
        order = order if size > 1 else order[:8]
        batches = [order[at : at + size] for at in range(0, len(order), size)]
        parts = [predictor.score(images[batch]) for batch in batches]
        for name in (field.name for field in fields(Scores)):
            actual = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(actual, getattr(whole, name)[order], err_msg=name)


@pytest.mark.pipeline
@pytest.mark.parametrize("math", [PORTABLE, FAST])
@pytest.mark.parametrize("kind", ["pipeline", "frozen"])
def test_alone_and_in_batches_all_numbers_are_equal_to_the_last_bit(
    kind: str, math: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(kind)
    np.save(tmp_path / "images.npy", held_out(folder)[:150])
    environment = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    words = [str(folder / "model"), str(tmp_path / "images.npy")]
    process = subprocess.run(
        [sys.executable, "-c", COMPARE, *words],
        env=environment | {VARIABLE: math}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-2000:]


def test_the_calibration_images_score_as_they_did_in_the_pipeline(pipeline: Path) -> None:
    name = f"{HELD_OUT}/combined"
    scores = load_arrays(pipeline / "scores", name)[name]
    actual = Predictor(Bundle.load(pipeline / "model"), device=CPU).score(held_out(pipeline)[1::2])
    np.testing.assert_array_equal(actual.score, scores)
    bundle = Bundle.load(pipeline / "model")
    assert int((~actual.belongs).sum()) == int((scores > bundle.manifest.threshold).sum())


@pytest.mark.parametrize("size", SIZES)
def test_the_graph_has_the_verdicts_and_p_values_of_the_calibration_images(
    pipeline: Path, size: int
) -> None:
    """Each calibration image ties with itself: its last bit decides nothing."""
    bundle, images = Bundle.load(pipeline / "model"), held_out(pipeline)[1::2]
    for alpha in (None, 0.1, 0.3):
        for guarantee in (None, "per-class"):
            rule = rule_of(bundle, alpha=alpha, guarantee=guarantee)
            session = onnxruntime.InferenceSession(graph_of(bundle, rule).SerializeToString())
            expected = Predictor(bundle, device=CPU).score(images).by(rule)
            actual = [
                session.run(
                    ["belongs", "p_value"],
                    {"images": np.ascontiguousarray(images[at : at + size].transpose(0, 2, 3, 1))},
                )
                for at in range(0, len(images), size)
            ]
            belongs, p_values = (np.concatenate(parts) for parts in zip(*actual, strict=True))
            np.testing.assert_array_equal(belongs, expected.belongs)
            assert np.mean(p_values != expected.p_value) < 0.02


# --- moved thresholds ----------------------------------------------------------------------------


def test_moved_thresholds_are_those_of_the_p_values(pipeline: Path) -> None:
    model = load_model(pipeline / "model", device="cpu")
    images = list(held_out(pipeline)[1::2, 0])
    for alpha in (0.01, 0.1, 0.5):
        predictions = model.predict(images, alpha=alpha)
        np.testing.assert_array_equal(predictions.belongs, predictions.p_value > alpha)
    conditional = model.predict(images, alpha=0.1, guarantee="training-conditional")
    marginal = model.predict(images, alpha=0.1)
    assert (conditional.belongs >= marginal.belongs).all()
    assert conditional.belongs.sum() > marginal.belongs.sum()
    of_class = model.predict(images, alpha=0.3, guarantee="per-class")
    bundle = model.bundle
    class_rules = rule_of(bundle, alpha=0.3, guarantee="per-class").of_class
    assert class_rules
    for label in class_rules:
        is_own = of_class.label == model.class_names[label]
        np.testing.assert_array_equal(of_class.belongs[is_own], of_class.p_value[is_own] > 0.3)
    with pytest.raises(InputError, match=r"smallest possible alpha is 0\.004976"):
        model.predict(images[:1], alpha=0.001)


def test_each_class_has_the_least_alpha_of_the_images_that_set_its_threshold(
    pipeline: Path,
) -> None:
    bundle = load_model(pipeline / "model", device="cpu").bundle
    classes = bundle.manifest.class_names
    rule = rule_of(bundle, alpha=0.3, guarantee="per-class")
    few = next(iter(rule.of_class))
    of_class = {label: one for label, one in rule.of_class.items() if label != few}
    rule = replace(rule, of_class=of_class, few={**rule.few, few: 2})
    facts = guarantee_of(rule, bundle.manifest, 0, [0] * len(classes), fdr=None)["classes"]
    for label, name in enumerate(classes):
        setting = rule.of_class.get(label, rule.pooled)
        least = 1 / (len(setting.scores) + 1)
        assert least <= facts[name]["least_alpha"] <= least * 1.001
        assert facts[name]["is_pooled"] == (label in rule.few)
    assert facts[classes[few]]["calibration_images"] == 2
    assert of_class


def test_the_false_discovery_rate_decides_a_batch_and_its_reasons(pipeline: Path) -> None:
    model = load_model(pipeline / "model", device="cpu")
    arrays = load_arrays(pipeline / "images", "normal/test/images", "anomaly/test/images")
    normal, anomaly = (arrays[f"{part}/test/images"][:60, 0] for part in ("normal", "anomaly"))
    predictions = model.predict([*normal, *anomaly], fdr=0.2)
    belongs = predictions.belongs
    assert belongs[:60].sum() > 40 > (~belongs[60:]).sum() - 20 > 0
    limit = predictions.p_value[belongs].min()
    assert (predictions.p_value[~belongs] < limit).all()
    says_like = np.array([reason.startswith("like ") for reason in predictions.reason])
    np.testing.assert_array_equal(says_like, belongs)
    alone = model.predict([normal[0]], fdr=0.2)
    assert alone.belongs.all()
    with pytest.raises(InputError, match=r"^fdr has a threshold of its own"):
        model.predict(list(normal[:1]), fdr=0.2, alpha=0.1)
