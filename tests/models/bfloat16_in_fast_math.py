"""Tests of bfloat16, which portable math does not use; `test_bfloat16.py` runs them."""

import copy
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from belong.models.backbones.backbone import Backbone
from belong.models.backbones.card import DRAWN
from belong.models.backbones.catalog import card_of
from belong.models.backbones.merged_layers import MergedConv2d, for_inference
from belong.models.feature_cache import FILE, FeatureCache
from belong.models.feature_extraction import embed

IMAGES, BATCH = 4, (3, 96, 96)


def difference(values: Tensor, expected: Tensor) -> float:
    """Return the largest difference, as a share of the largest value.

    A number of 8 bits is off by up to 0.4%, in each of 49 layers.
    """
    return float((values.float() - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(1)
    model: nn.Module = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    return model.eval().to(memory_format=torch.channels_last)


@pytest.fixture
def images(generator: torch.Generator) -> Tensor:
    return torch.randn(IMAGES, *BATCH, generator=generator).to(memory_format=torch.channels_last)


@torch.no_grad()
def test_it_differs_by_its_rounding(network: nn.Module, images: Tensor) -> None:
    values = for_inference(network, dtype=torch.bfloat16)(images.bfloat16())
    assert 1e-4 < difference(values, network(images)) < 0.1


def test_the_network_itself_stays_as_it_was(network: nn.Module) -> None:
    before = copy.deepcopy(network.state_dict())
    for_inference(network, dtype=torch.bfloat16)
    assert not any(isinstance(module, MergedConv2d) for module in network.modules())
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


@torch.no_grad()
def test_after_a_change_of_type_no_packed_weight_is_left(
    network: nn.Module, images: Tensor
) -> None:
    inference_copy = for_inference(network)
    expected = inference_copy(images)
    assert 1e-4 < difference(inference_copy.to(torch.bfloat16)(images.bfloat16()), expected) < 0.1


def test_vectors_are_near_and_not_mistaken_for_those_in_float32(
    tmp_path: Path, generator: torch.Generator
) -> None:
    pixels = torch.randint(0, 256, (3, 3, 40, 40), dtype=torch.uint8, generator=generator)
    backbone = Backbone(card_of("efficientnet_lite0", DRAWN))
    device, cache = torch.device("cpu"), FeatureCache(tmp_path / FILE)
    expected = embed(backbone, pixels, device=device, cache=cache)
    rounded = Backbone(backbone.card, backbone.trunk).in_dtype("bfloat16")
    vectors = embed(rounded, pixels, device=device, cache=cache)
    assert vectors.dtype == torch.float32
    assert 1e-4 < difference(vectors, expected) < 0.1
