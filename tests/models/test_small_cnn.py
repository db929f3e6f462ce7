"""The network for photos that is trained from scratch."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from belong.models.registry import build
from belong.models.small_cnn import FEATURES, SmallCnn
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.runtime.errors import InputError


def images(n: int, *, channels: int = 3, height: int = 40, width: int = 33) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    shape = (n, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def untrained(pixels: Tensor, *, classes: int = 3) -> SmallCnn:
    network = SmallCnn.for_images(pixels, classes=classes)
    network.initialize(pixels, torch.Generator().manual_seed(0))
    return network


@pytest.mark.parametrize("channels", [1, 3])
def test_the_layers_are_those_of_torchs_own_modules_in_a_row(channels: int) -> None:
    pixels = images(5, channels=channels)
    network = untrained(pixels)
    stages: list[nn.Module] = []
    for stage, (convolution, norm) in enumerate(
        zip(network.convolutions, network.norms, strict=True)
    ):
        pooling = [nn.MaxPool2d(2)] if stage else []
        stages.append(nn.Sequential(convolution, norm, nn.ReLU(), *pooling))
    centered = pixels / 255 - (pixels / 255).mean(dim=(0, 2, 3))[:, None, None]
    x = centered / (pixels / 255).std(dim=(0, 2, 3), correction=0)[:, None, None]
    early = nn.Sequential(*stages[:2])(x)
    last = nn.Sequential(*stages[2:])(early).mean(dim=(2, 3))
    expected = (
        early.mean(dim=(2, 3)), last, torch.relu(nn.functional.linear(
            last, network.embedding.weight, network.embedding.bias
        )),
    )  # fmt: skip
    for layer, same in zip(network.layers(pixels), expected, strict=True):
        assert_close(layer, same, rtol=1e-4, atol=1e-5)
    assert [layer.shape[1] for layer in network.layers(pixels)] == [32, 128, FEATURES]


def test_the_maps_of_64_px_are_halved_four_times() -> None:
    network = untrained(images(2, height=64, width=64))
    x, sides = images(2, height=64, width=64).float(), []
    for stage, convolution in enumerate(network.convolutions):
        x = convolution(x)
        x = nn.functional.max_pool2d(x, 2) if stage else x
        sides.append(x.shape[-1])
    assert sides == [32, 16, 8, 4]


@pytest.mark.parametrize(("height", "width"), [(31, 64), (64, 31)])
def test_images_below_32_px_are_refused(height: int, width: int) -> None:
    with pytest.raises(InputError, match=f"at least 32 px, got {height}x{width}"):
        build("small_cnn", images(2, height=height, width=width), classes=2, embedding=2)


def test_a_batch_of_one_image_of_the_least_side_has_a_spread() -> None:
    network = untrained(images(1, height=32, width=32)).train()
    assert torch.isfinite(network(images(1, height=32, width=32))[1]).all()


@pytest.mark.pipeline
def test_colors_are_learned_within_ten_passes() -> None:
    pixels, labels = images(60, height=32, width=32), torch.arange(60) % 3
    for label in range(3):
        pixels[labels == label, label] //= 2
    options = TrainingOptions(
        lambda_=0.1, epochs=10, batch_size=6, learning_rate=0.01, momentum=0.9,
        weight_decay=0.0005, center_rate=0.5, shift_px=2, flip=True, embedding=2,
    )  # fmt: skip
    _, rows = fit_classifier(
        pixels, labels, (pixels, labels), network="small_cnn", classes=3, options=options,
        generator=torch.Generator().manual_seed(0), device=torch.device("cpu"),
    )  # fmt: skip
    assert rows[-1]["calibration_accuracy"] > 0.95
