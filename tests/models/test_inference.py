"""The copy for inference computes the values of the original network."""

import copy
from functools import partial
from typing import Any

import pytest
import timm
import torch
from timm.layers.conv_bn_act import ConvNormAct
from timm.models._efficientnet_blocks import InvertedResidual
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.models import mobilenet_v2

from belong.models.backbones.merged_layers import MergedConv2d, for_inference
from belong.models.inference import in_full_batch
from belong.runtime.errors import InputError

pytestmark = pytest.mark.pipeline

# name -> side in px, and how many convolutions take over what follows: all that a normalization or
# a gate follows in the network; of ResNet-50-D all but the last of the stem, a Sequential.
NETWORKS = {
    "tf_efficientnet_lite0": (97, 49),
    "efficientnet_b0": (97, 49 + 16 * 2),
    "mobilenetv3_small_100": (96, 34 + 9 * 2 + 1),
    "resnet18": (64, 20),
    "resnet50d": (64, 54),
    "regnetx_002": (64, 44),
    "efficientnet_es": (65, 49),
    "convnext_atto": (64, 0),
    "vit_tiny_patch16_224": (224, 0),
}


def untrained(name: str) -> Any:
    """Return timm's network; its normalizations have means, deviations, scales and shifts."""
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network: nn.Module = timm.create_model(name, num_classes=0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, low in (
                (layer.get_buffer("running_mean"), -0.5),
                (layer.get_buffer("running_var"), 0.5),
                (layer.weight.data, 0.5),
                (layer.bias.data, -0.5),
            ):
                values.uniform_(low, low + 1, generator=generator)
    return network.eval().to(memory_format=torch.channels_last)


def photos(n: int, side_px: int, *, seed: int = 0, width: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, 3, side_px, width or side_px, generator=generator)
    return images.contiguous(memory_format=torch.channels_last)


def merged_in(network: nn.Module) -> int:
    return sum(isinstance(module, MergedConv2d) for module in network.modules())


@pytest.fixture(scope="module")
def lite() -> Any:
    return untrained("tf_efficientnet_lite0")


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_its_features_are_those_of_timms_network(name: str) -> None:
    side_px, merged = NETWORKS[name]
    network = untrained(name)
    inference_copy, images = for_inference(network), photos(3, side_px)
    assert merged_in(inference_copy) == merged
    expected = network(images)
    assert expected.std(dim=0).mean() > 1e-3  # the images differ
    assert_close(inference_copy(images), expected, rtol=0, atol=1e-4 * expected.abs().max().item())


@torch.no_grad()
def test_numbers_that_were_worked_out_by_hand() -> None:
    """4 x + 2 is normalized to (4 x + 2 - 2) / 2 * 3 + 1 = 6 x + 1 and cut off at 0 and 6."""
    block = ConvNormAct(1, 1, bias=True, act_layer=nn.ReLU6).eval()
    block.conv.weight.fill_(4)
    block.conv.bias.fill_(2)
    block.bn.running_mean.fill_(2)
    block.bn.running_var.fill_(4)
    block.bn.eps = 0
    block.bn.weight.fill_(3)
    block.bn.bias.fill_(1)
    merged = for_inference(block)
    assert merged_in(merged) == 1
    x = torch.tensor([-1.0, 0.0, 0.5, 2.0]).reshape(1, 1, 1, 4)
    assert merged(x).flatten().tolist() == [0, 1, 4, 6]


@torch.no_grad()
def test_torchvisions_blocks_are_merged_too() -> None:
    network: Any = mobilenet_v2(weights=None, num_classes=5).eval()
    inference_copy, images = for_inference(network), photos(2, 64)
    # The last convolution of each of the 17 blocks stands in the block itself, which is not known.
    assert merged_in(inference_copy) == 52 - 17
    assert_close(inference_copy(images), network(images), rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(96, 96), (97, 96), (96, 99), (33, 64), (50, 51)])
def test_every_parity_of_height_and_width_is_padded_as_tensorflow_pads(
    height: int, width: int, lite: Any
) -> None:
    images = photos(2, height, width=width)
    expected = lite(images)
    assert_close(for_inference(lite)(images), expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_sizes_may_alternate(lite: Any) -> None:
    inference_copy = for_inference(lite)
    for side_px in (64, 65, 64, 96):
        images = photos(2, side_px)
        assert_close(inference_copy(images), lite(images), rtol=0, atol=1e-4)


@torch.no_grad()
def test_its_stages_are_those_of_timms_network(lite: Any) -> None:
    images = photos(2, 96)
    final, stages = for_inference(lite).forward_intermediates(images, indices=[1, 3])
    expected_final, expected = lite.forward_intermediates(images, indices=[1, 3])
    for one, other in zip((final, *stages), (expected_final, *expected), strict=True):
        assert_close(one, other, rtol=0, atol=1e-4 * other.abs().max().item())


@torch.no_grad()
def test_a_vector_of_lite0_is_the_same_bytes_in_a_batch_of_any_size(lite: Any) -> None:
    inference_copy, images = for_inference(lite), photos(9, 96)
    alone = torch.cat([inference_copy(image[None]) for image in images])
    for size in range(2, 10):
        batches = [inference_copy(batch) for batch in images.split(size)]
        assert torch.equal(torch.cat(batches), alone), size


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_in_batches_of_one_size_a_vector_is_the_same_bytes_wherever_its_image_is(name: str) -> None:
    side_px, _ = NETWORKS[name]
    inference_copy, images = for_inference(untrained(name)), photos(7, side_px)
    call = partial(in_full_batch, inference_copy, batch_size=4)
    vectors = torch.cat([call(images[:4]), call(images[4:])])
    for order in ([3, 2, 1, 0], [6], [2, 5], [1, 1, 4], [6, 0, 5, 4]):
        assert torch.equal(call(images[order]), vectors[order])


@pytest.mark.parametrize(("n", "called"), [(1, 4), (3, 4), (4, 4), (0, 0)])
def test_a_batch_is_filled_up_and_its_own_rows_come_back(n: int, called: int) -> None:
    sizes = []

    def doubled(batch: Tensor) -> Tensor:
        sizes.append(len(batch))
        return 2 * batch

    rows = torch.arange(1.0, n + 1)[:, None]
    assert torch.equal(in_full_batch(doubled, rows, batch_size=4), 2 * rows)
    assert sizes == [called]


@torch.no_grad()
def test_without_onednn_the_values_are_the_same(lite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inference_copy, images = for_inference(lite), photos(2, 96)
    expected = inference_copy(images)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    values = inference_copy(images)
    assert_close(values, expected, rtol=0, atol=1e-4)
    assert not torch.equal(values, expected)  # it was computed in another way


def test_gradients_with_respect_to_the_images_are_those_of_the_network(lite: Any) -> None:
    gradients = []
    for network in (lite, for_inference(lite)):
        images = photos(1, 64).requires_grad_()
        network(images).sum().backward()
        assert images.grad is not None
        gradients.append(images.grad)
    largest = gradients[0].abs().max().item()
    assert_close(gradients[1], gradients[0], rtol=0, atol=1e-3 * largest)


@torch.no_grad()
def test_without_an_image_there_is_no_vector(lite: Any) -> None:
    assert for_inference(lite)(photos(0, 64)).shape == (0, 1280)


@torch.no_grad()
def test_a_copy_of_the_copy_computes_the_same_after_use(lite: Any) -> None:
    inference_copy, images = for_inference(lite), photos(2, 64)
    values = inference_copy(images)
    assert torch.equal(copy.deepcopy(inference_copy)(images), values)


def test_a_layer_with_a_hook_stays_as_it_is(lite: Any) -> None:
    hooked = copy.deepcopy(lite)
    hooked.conv_stem.register_forward_hook(lambda *_: None)
    assert merged_in(for_inference(hooked)) == 48


class Doubled(InvertedResidual):
    """A block that uses its first convolution differently."""

    def forward(self, x: Tensor) -> Tensor:
        doubled: Tensor = self.bn1(2 * self.conv_pw(x))
        return doubled


@torch.no_grad()
def test_a_block_that_is_derived_from_a_known_one_stays_as_it_is() -> None:
    block = Doubled(3, 3).eval()
    block.bn1.running_mean.fill_(0.5)
    images = photos(1, 8)
    assert torch.equal(for_inference(block)(images), block(images))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_another_type_of_numbers_is_refused(dtype: torch.dtype, lite: Any) -> None:
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(InputError) as error:
        for_inference(lite, dtype=dtype)
    assert str(error.value) == f"dtype: expected float32 or bfloat16, got {name}"


def test_bfloat16_is_refused_where_the_processor_does_not_compute_in_it(
    lite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    monkeypatch.delenv("MKL_CBWR")  # math: fast
    with pytest.raises(InputError, match="this processor has no bfloat16; expected float32"):
        for_inference(lite, dtype=torch.bfloat16)
