"""The ONNX graph of the small network for photos gives the verdicts of the model."""

from collections.abc import Mapping

import numpy as np
import onnxruntime
import pytest
import torch

from belong.detectors.combination import CombinationRule
from belong.detectors.combined import Combination
from belong.models.small_cnn import SmallCnn
from belong.prediction.bundle import Bundle
from belong.prediction.onnx.export import model as graph_of
from belong.prediction.predictor import Predictor
from tests.small_bundle import a_bundle

SIDES = {"height": 40, "width": 33}


def bundle_of(network: SmallCnn) -> Bundle:
    """Return a bundle of two classes; `energy` is in force."""
    d = network.classifier.in_features
    channels = network.shape["channels"]
    gaussians = {
        "mahalanobis/means": np.zeros((2, d), np.float32),
        "mahalanobis/thresholds": np.ones(2, np.float32),
        "mahalanobis/whitening": np.eye(d, dtype=np.float32)[None],
    }
    training: dict[str, np.ndarray] = {
        "features": np.zeros((1, d), np.float32),
        "labels": np.zeros(1, np.int64),
        "thumbnails": np.zeros((1, channels, *SIDES.values()), np.uint8),
    }
    manifest = a_bundle().manifest
    form = manifest.form.model_copy(update={"channels": channels, **SIDES})
    facts = {"network": "small_cnn", "shape": network.shape, "form": form}
    arrays: dict[str, Mapping[str, np.ndarray]] = {
        "network": network.arrays(),
        "detectors": gaussians,
        "calibration": {"energy": np.zeros(3, np.float32)},
        "training": training,
    }
    return Bundle(manifest.model_copy(update=facts), arrays)


@pytest.mark.parametrize("channels", [1, 3])
def test_score_and_label_of_the_graph_are_those_of_the_model(channels: int) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, channels, *SIDES.values()), np.uint8)
    network = SmallCnn.for_images(torch.from_numpy(pixels), classes=2)
    network.initialize(torch.from_numpy(pixels), torch.Generator().manual_seed(0))
    network(torch.from_numpy(pixels))  # in training: the normalizations measure their inputs
    bundle = bundle_of(network)
    session = onnxruntime.InferenceSession(graph_of(bundle).SerializeToString())
    score, label = session.run(["score", "label"], {"images": pixels.transpose(0, 2, 3, 1)})
    expected = Predictor(bundle, device=torch.device("cpu")).score(pixels)
    assert np.ptp(expected.score) > 1e-3
    np.testing.assert_allclose(score, expected.score, rtol=1e-4)
    np.testing.assert_array_equal(label, expected.label)


@pytest.mark.parametrize("rule", ["fisher", "harmonic", "stouffer"])
def test_the_graph_adds_up_the_members_as_the_model_does(rule: CombinationRule) -> None:
    rng = np.random.default_rng(0)
    held_out, images = rng.integers(0, 256, (2, 30, 3, *SIDES.values()), np.uint8)
    images[15:] //= 4  # darker than those that calibrate: some lie beyond the tail
    network = SmallCnn.for_images(torch.from_numpy(held_out), classes=2)
    network.initialize(torch.from_numpy(held_out), torch.Generator().manual_seed(0))
    network(torch.from_numpy(held_out))
    single, cpu = bundle_of(network), torch.device("cpu")
    member_scores = Predictor(single, device=cpu).detector_scores(held_out)
    calibration = {f"member/{name}": scores for name, scores in member_scores.items()}
    facts = {"detector": "combined", "members": list(member_scores), "combination": rule}
    manifest = single.manifest.model_copy(update=facts)
    calibration_arrays = {
        "calibration": {**calibration, "combined": np.arange(9, dtype=np.float32)}
    }
    bundle = Bundle(manifest, {**single.arrays, **calibration_arrays})
    predictor = Predictor(bundle, device=cpu)
    session = onnxruntime.InferenceSession(graph_of(bundle).SerializeToString())
    (score,) = session.run(["score"], {"images": images.transpose(0, 2, 3, 1)})
    np.testing.assert_allclose(score, predictor.score(images).score, rtol=1e-3, atol=1e-3)
    combination = Combination.fit(member_scores, tail=manifest.tail, rule=rule)
    scores = predictor.detector_scores(images)
    np.testing.assert_allclose(combination.score(scores), score, rtol=1e-3, atol=1e-3)
    assert any((scores[name] > one.start).any() for name, one in combination.surprises.items())
