"""The verdict of an image is the same alone and in any batch: on the folder of the calibration."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from belong.prediction.bundle import Bundle
from belong.prediction.model import load_model
from belong.prediction.onnx.export import model as graph_of
from belong.prediction.predictions import Scores
from belong.prediction.predictor import Predictor
from belong.prediction.verdict_rules import rule_of
from belong.runtime.errors import InputError
from belong.runtime.portable_math import FAST, PORTABLE, VARIABLE, VARIABLES
from belong.runtime.storage import load_arrays
from tests.small_bundle import QUICK, make_bundle

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
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model above frozen EfficientNet-Lite0, with weights drawn by its seed."""
    folder = tmp_path_factory.mktemp("frozen")
    text = QUICK.replace("network: lenet", "network: efficientnet_lite0")
    make_bundle(
        folder,
        text.replace("weights: none", "weights: pretrained").replace(
            "frozen: false", "frozen: true"
        ),
    )
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
            got = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(got, getattr(whole, name)[order], err_msg=name)


@pytest.mark.parametrize("math", [PORTABLE, FAST])
@pytest.mark.parametrize("kind", ["made", "frozen"])
def test_alone_and_in_batches_all_numbers_are_equal_to_the_last_bit(
    kind: str, math: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(kind)
    np.save(tmp_path / "images.npy", held_out(folder)[: 150 if kind == "made" else 70])
    environment = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    words = [str(folder / "model"), str(tmp_path / "images.npy")]
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, *words],
        env=environment | {VARIABLE: math}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_calibration_images_score_as_they_did_in_the_pipeline(made: Path) -> None:
    name = f"{HELD_OUT}/combined"
    scores = load_arrays(made / "scores", name)[name]
    got = Predictor(Bundle.load(made / "model"), device=CPU).score(held_out(made)[1::2])
    np.testing.assert_array_equal(got.score, scores)
    bundle = Bundle.load(made / "model")
    assert int((~got.belongs).sum()) == int((scores > bundle.manifest.threshold).sum())


@pytest.mark.parametrize("size", SIZES)
def test_the_graph_has_the_verdicts_and_p_values_of_the_calibration_images(
    made: Path, size: int
) -> None:
    """Each of them ties with itself: its last bit decides nothing."""
    bundle, images = Bundle.load(made / "model"), held_out(made)[1::2]
    for alpha in (None, 0.1, 0.3):
        for guarantee in (None, "per-class"):
            rule = rule_of(bundle, alpha=alpha, guarantee=guarantee)  # type: ignore[arg-type]
            session = onnxruntime.InferenceSession(graph_of(bundle, rule).SerializeToString())
            expected = Predictor(bundle, device=CPU).score(images).by(rule)
            got = [
                session.run(
                    ["belongs", "p_value"],
                    {"images": np.ascontiguousarray(images[at : at + size].transpose(0, 2, 3, 1))},
                )
                for at in range(0, len(images), size)
            ]
            belongs, p_values = (np.concatenate(parts) for parts in zip(*got, strict=True))
            np.testing.assert_array_equal(belongs, expected.belongs)
            assert np.mean(p_values != expected.p_value) < 0.02


# --- moved thresholds ----------------------------------------------------------------------------


def test_moved_thresholds_are_those_of_the_p_values(made: Path) -> None:
    model = load_model(made / "model", device="cpu")
    images = list(held_out(made)[1::2, 0])
    for alpha in (0.01, 0.1, 0.5):
        predictions = model.predict(images, alpha=alpha)
        np.testing.assert_array_equal(predictions.belongs, predictions.p_value > alpha)
    conditional = model.predict(images, alpha=0.1, guarantee="training-conditional")
    marginal = model.predict(images, alpha=0.1)
    assert (conditional.belongs >= marginal.belongs).all()
    assert conditional.belongs.sum() > marginal.belongs.sum()
    of_class = model.predict(images, alpha=0.3, guarantee="per-class")
    bundle = model.bundle
    own = rule_of(bundle, alpha=0.3, guarantee="per-class").of_class
    assert own
    for label in own:
        is_own = of_class.label == model.class_names[label]
        np.testing.assert_array_equal(of_class.belongs[is_own], of_class.p_value[is_own] > 0.3)
    with pytest.raises(InputError, match=r"alpha within reach is 0\.004976"):
        model.predict(images[:1], alpha=0.001)


def test_of_a_batch_the_false_discovery_rate_decides_and_the_reasons_follow(made: Path) -> None:
    model = load_model(made / "model", device="cpu")
    arrays = load_arrays(made / "images", "normal/test/images", "anomaly/test/images")
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
