"""Photos with cached vectors are scored without a pass of the backbone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from belong.models.backbones.backbone import Backbone
from belong.models.backbones.card import DRAWN
from belong.models.backbones.catalog import card_of
from belong.models.backbones.networks import FrozenBackbone
from belong.models.feature_cache import FILE, FeatureCache
from belong.models.feature_extraction import embed
from belong.models.inference import batch_for
from belong.prediction.bundle import Bundle
from belong.prediction.predictor import Predictor
from tests.small_bundle import a_bundle

CPU, SIDE_PX = torch.device("cpu"), 40


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(card_of("efficientnet_lite0", DRAWN))


@pytest.fixture(scope="module")
def bundle(backbone: Backbone) -> Bundle:
    """Return a model on a frozen backbone whose embedding has 8 units."""
    network = FrozenBackbone.above(backbone.card, classes=2, embedding=8)
    gaussians = {
        "means": np.zeros((2, 8), np.float32),
        "thresholds": np.ones(2, np.float32),
        "whitening": np.stack([np.eye(8, dtype=np.float32)] * 2),
    }
    arrays: dict[str, dict[str, np.ndarray]] = {
        "network": network.arrays(),
        "backbone": backbone.arrays(),
        "detectors": {f"mahalanobis/{name}": array for name, array in gaussians.items()},
        "calibration": {"energy": np.zeros(3, np.float32)},
        "training": {
            "features": np.zeros((1, 8), np.float32),
            "labels": np.zeros(1, np.int64),
            "thumbnails": np.zeros((1, 1, SIDE_PX, SIDE_PX), np.uint8),
        },
    }
    manifest = a_bundle().manifest
    facts = {
        "network": "frozen",
        "shape": network.shape,
        "backbone": backbone.card,
        "form": manifest.form.model_copy(update={"height": SIDE_PX, "width": SIDE_PX}),
    }
    return Bundle(manifest.model_copy(update=facts), arrays)


def photos(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 1, SIDE_PX, SIDE_PX), np.uint8)


def test_the_features_of_a_photo_are_the_same_bytes_alone_and_among_others(bundle: Bundle) -> None:
    predictor, images = Predictor(bundle, device=CPU), photos(6)
    # The layer above the backbone adds in another order for another number of rows.
    alone = np.concatenate([predictor.features(image[None]) for image in images])
    np.testing.assert_allclose(predictor.features(images), alone, rtol=1e-5, atol=1e-6)
    vectors = predictor._vectors(torch.from_numpy(images), None)
    for row, image in enumerate(images):
        assert torch.equal(predictor._vectors(torch.from_numpy(image[None]), None)[0], vectors[row])


def test_photos_that_training_embedded_are_scored_without_a_pass(
    bundle: Bundle, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, cache = photos(6), FeatureCache(tmp_path / FILE)
    without = Predictor(bundle, device=CPU).score(images)
    embed(backbone, torch.from_numpy(images), device=CPU, cache=cache)
    predictor = Predictor(bundle, device=CPU, cache=cache)

    def no_pass(*_: object) -> Tensor:
        raise AssertionError("the backbone was called")

    monkeypatch.setattr(Backbone, "vectors", no_pass)
    scored = predictor.score(images)
    np.testing.assert_array_equal(scored.score, without.score)
    np.testing.assert_array_equal(scored.features, without.features)


def test_the_backbone_is_given_one_batch_of_its_own_size_for_a_single_photo(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, computed, vectors = Predictor(bundle, device=CPU), [], Backbone.vectors

    def counted(backbone: Backbone, images: Tensor) -> Tensor:
        computed.append(len(images))
        return vectors(backbone, images)

    monkeypatch.setattr(Backbone, "vectors", counted)
    predictor.score(photos(1))
    assert computed == [batch_for(CPU)]
