"""Training: repeatable, and the center loss draws the classes together."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor, nn
from torch.testing import assert_close

from belong.data.idx import read
from belong.models.lenet import FEATURES, LeNet
from belong.models.train_classifier import TrainingOptions, accuracy, train_classifier
from belong.models.training_loop import Row
from belong.runtime.errors import InputError
from belong.runtime.storage import load_about, load_arrays, save_arrays
from tests.imports import ROOT

SMALL = ROOT / "tests" / "data" / "mnist-small"

Labelled = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def digits() -> tuple[Labelled, Labelled]:
    """Return MNIST's first 1000 training and 200 test images with their labels."""
    data = read(SMALL)
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    return (images[:1000], labels[:1000]), (images[2000:2200], labels[2000:2200])


@torch.no_grad()
def forward(network: LeNet, images: Tensor, batch_size: int = 256) -> tuple[Tensor, Tensor]:
    """Return features (n, d) and logits (n, c), batch by batch."""
    features, logits = zip(*(network(batch) for batch in images.split(batch_size)), strict=True)
    return torch.cat(features), torch.cat(logits)


def noise(n: int, *, channels: int = 1, height: int = 12, width: int = 12) -> Labelled:
    """Return n images of noise, of three classes in turn."""
    generator = torch.Generator().manual_seed(5)
    shape = (n, channels, height, width)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return images, torch.arange(n) % 3


def untrained(images: Tensor, *, classes: int = 10, seed: int = 0) -> LeNet:
    _, channels, height, width = images.shape
    network = LeNet(classes=classes, channels=channels, height=height, width=width)
    network.initialize(images, torch.Generator().manual_seed(seed))
    return network


def trained(
    data: Labelled,
    held_out: Labelled | None = None,
    *,
    seed: int = 0,
    lambda_: float = 1.0,
    epochs: int = 2,
    batch_size: int = 32,
    learning_rate: float = 0.02,
    momentum: float = 0.9,
    center_rate: float = 0.5,
    shift_px: int = 0,
    flip: bool = False,
) -> tuple[LeNet, list[Row]]:
    network = untrained(data[0], seed=seed)
    history = train_classifier(
        network,
        *data,
        held_out or data,
        options=TrainingOptions(
            lambda_=lambda_,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            momentum=momentum,
            weight_decay=0.0005,
            center_rate=center_rate,
            shift_px=shift_px,
            flip=flip,
            embedding=2,
        ),
        generator=torch.Generator().manual_seed(seed),
    )
    return network, history


def weights(network: LeNet) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in network.arrays().items()}


def first_images(data: Labelled, n: int) -> Labelled:
    return data[0][:n], data[1][:n]


def test_two_trainings_with_the_same_seed_give_the_same_bytes_and_the_same_history(
    digits: tuple[Labelled, Labelled],
) -> None:
    one, two = (trained(first_images(digits[0], 300), digits[1]) for _ in range(2))
    assert weights(one[0]) == weights(two[0])
    assert one[1] == two[1]


def test_another_seed_gives_other_weights_in_every_layer(
    digits: tuple[Labelled, Labelled],
) -> None:
    one, two = (trained(first_images(digits[0], 300), seed=seed)[0] for seed in (0, 1))
    same = {name for name, values in weights(one).items() if values == weights(two)[name]}
    assert same == {"mean", "std"}  # measured on the images, not drawn


def test_the_held_out_images_do_not_change_the_weights(
    digits: tuple[Labelled, Labelled],
) -> None:
    data = first_images(digits[0], 300)
    one, two = (trained(data, held_out)[0] for held_out in (digits[1], first_images(digits[1], 10)))
    assert weights(one) == weights(two)


@pytest.mark.pipeline
def test_six_epochs_on_a_thousand_digits_find_more_than_five_of_six_others(
    digits: tuple[Labelled, Labelled],
) -> None:
    network, history = trained(*digits, lambda_=0.0, epochs=6)
    test_accuracy = accuracy(network, *digits[1])
    assert test_accuracy > 5 / 6
    assert history[-1]["calibration_accuracy"] == test_accuracy


def scatter_ratio(features: Tensor, labels: Tensor) -> float:
    """Return the scatter within the classes over that of the class means."""
    means = torch.stack([features[labels == label].mean(dim=0) for label in range(10)])
    within = (features - means[labels]).square().sum()
    between = (means[labels] - features.mean(dim=0)).square().sum()
    return float(within / between)


@pytest.mark.pipeline
def test_the_center_loss_draws_classes_together_relative_to_the_space_between_them(
    digits: tuple[Labelled, Labelled],
) -> None:
    ratios = {}
    for lambda_ in (0.0, 1.0):
        network, _ = trained(*digits, lambda_=lambda_, epochs=6)
        ratios[lambda_] = scatter_ratio(forward(network, digits[1][0])[0], digits[1][1])
    assert ratios[1.0] < ratios[0.0]


def test_without_center_loss_its_centers_do_not_matter(
    digits: tuple[Labelled, Labelled],
) -> None:
    data = first_images(digits[0], 100)
    one, two = (trained(data, lambda_=0.0, center_rate=rate)[0] for rate in (0.0, 0.5))
    assert weights(one) == weights(two)


# 9 images in batches of 4: the last batch holds a single image.
@pytest.mark.parametrize("batch_size", [4, 3, 9, 100])
def test_each_image_counts_once_in_the_losses_of_an_epoch_whatever_the_batches(
    batch_size: int,
) -> None:
    data = noise(9)
    network = untrained(data[0])
    features, logits = forward(network, data[0])
    # Steps too small to be seen; the centers stay at zero.
    _, (row,) = trained(
        data, lambda_=0.3, epochs=1, batch_size=batch_size, learning_rate=1e-9, center_rate=0
    )
    cross_entropy = float(F.cross_entropy(logits, data[1]))
    center_loss = float(features.square().sum(dim=1).mean() / 2)
    assert row["cross_entropy"] == pytest.approx(cross_entropy, rel=1e-5)
    assert row["center_loss"] == pytest.approx(center_loss, rel=1e-5)
    assert row["loss"] == pytest.approx(cross_entropy + 0.3 * center_loss, rel=1e-5)
    assert row["accuracy"] == pytest.approx(float((logits.argmax(1) == data[1]).float().mean()))


def test_a_batch_larger_than_the_data_trains_as_one_of_its_size() -> None:
    data = noise(9)
    one, two = (trained(data, batch_size=size) for size in (9, 1000))
    assert weights(one[0]) == weights(two[0])
    assert one[1] == two[1]


def test_a_step_without_momentum_goes_down_the_gradient_of_the_weighted_loss() -> None:
    data = noise(9)
    network = untrained(data[0])
    features, logits = network(data[0])
    # The centers start at zero; weight decay adds its share of the weights.
    center_loss = features.square().sum(dim=1).mean() / 2
    loss = F.cross_entropy(logits, data[1]) + 0.7 * center_loss
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    # Two epochs of one step each; the second is at the end of the cycle, too small to be seen.
    network_after, _ = trained(data, lambda_=0.7, batch_size=9, momentum=0.0, learning_rate=0.1)
    downhill, steps = [], []
    for before, gradient, after in zip(
        network.parameters(), gradients, network_after.parameters(), strict=True
    ):
        downhill.append(-(gradient + 0.0005 * before.detach()).flatten())
        steps.append((after - before).detach().flatten())
    cosine = F.cosine_similarity(torch.cat(steps), torch.cat(downhill), dim=0)
    assert cosine.item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("learning_rate", [1e4, 1e6, 1e30])
def test_a_huge_learning_rate_stops_the_run_and_names_the_epoch(learning_rate: float) -> None:
    message = r"the loss is (nan|inf) after epoch [123] \(.*smaller learning_rate or lambda"
    with pytest.raises(InputError, match=message):
        trained(noise(40), epochs=3, learning_rate=learning_rate)


@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 8), (5, 64)])
def test_five_steps_in_all_can_be_trained(epochs: int, batch_size: int) -> None:
    _, history = trained(noise(40), epochs=epochs, batch_size=batch_size)
    assert [row["epoch"] for row in history] == list(range(1, epochs + 1))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 7, 10])
def test_any_other_number_of_steps_gives_one_row_per_epoch(steps: int) -> None:
    _, history = trained(noise(9), epochs=steps, batch_size=9)
    assert [row["epoch"] for row in history] == list(range(1, steps + 1))
    assert all(math.isfinite(row["loss"]) for row in history)


@pytest.mark.parametrize("batch_size", [1, 7, 59, 60, 1000])
def test_features_and_logits_do_not_depend_on_the_batches(
    digits: tuple[Labelled, Labelled], batch_size: int
) -> None:
    images = digits[1][0][:60]
    network, _ = trained(first_images(digits[0], 100))
    for split, whole in zip(
        forward(network, images, batch_size=batch_size), network(images), strict=True
    ):
        assert_close(split, whole.detach(), rtol=1e-4, atol=1e-5)


def test_logits_are_the_classifier_on_84_features_that_are_not_negative(
    digits: tuple[Labelled, Labelled],
) -> None:
    images = digits[1][0]
    network, _ = trained(first_images(digits[0], 100))
    features, logits = forward(network, images)
    assert features.shape == (200, FEATURES) == (200, 84)
    assert features.min() == 0  # the ReLU is part of the features
    assert_close(logits, network.classifier(features).detach())


def test_the_network_is_the_papers_lenet_built_from_torchs_own_layers() -> None:
    images, _ = noise(5, height=28, width=28)
    network = untrained(images)
    same = nn.Sequential(
        network.conv1, nn.ReLU(), nn.MaxPool2d(2),
        network.conv2, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        network.hidden1, nn.ReLU(), network.hidden2, nn.ReLU(),
    )  # fmt: skip
    pixels = images / 255
    features = same((pixels - pixels.mean()) / pixels.std(correction=0)).detach()
    assert_close(forward(network, images)[0], features, rtol=1e-4, atol=1e-5)


def test_accuracy_by_hand_is_the_share_of_largest_logits_that_are_the_label(
    digits: tuple[Labelled, Labelled],
) -> None:
    images = digits[1][0][:8]
    network, _ = trained(first_images(digits[0], 100))
    predicted = forward(network, images)[1].argmax(dim=1)
    labels = predicted.clone()
    labels[:3] = (labels[:3] + 1) % 10
    assert accuracy(network, images, labels) == 5 / 8


@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_keeps_numpys_mean_and_standard_deviation_of_the_pixels(
    channels: int,
) -> None:
    images, _ = noise(20, channels=channels, height=13, width=17)
    images[:, 0] //= 7  # the channels differ
    network = untrained(images)
    pixels = images.numpy() / 255
    np.testing.assert_allclose(network.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(network.std, pixels.std(axis=(0, 2, 3)), rtol=1e-6)


def test_a_channel_of_one_colour_is_left_as_wide_as_it_is() -> None:
    images, _ = noise(20, channels=2)
    images[:, 1] = 51
    network = untrained(images)
    assert network.mean[1].item() == pytest.approx(0.2)
    assert network.std[1].item() == 1


def test_brighter_training_images_of_more_contrast_give_the_same_features() -> None:
    images, _ = noise(20)
    images //= 4
    for plain, brighter in zip(
        forward(untrained(images), images),
        forward(untrained(3 * images + 20), 3 * images + 20),
        strict=True,
    ):
        assert_close(brighter, plain, rtol=1e-3, atol=1e-5)


def test_drawn_weights_reach_as_far_as_torchs_own() -> None:
    # Uniform within 1 / sqrt(inputs): conv1 25 inputs, hidden2 120, classifier 84.
    network = untrained(noise(4)[0], classes=1000)
    for layer, inputs in ((network.conv1, 25), (network.hidden2, 120), (network.classifier, 84)):
        bound = 1 / math.sqrt(inputs)
        assert 0.9 * bound < layer.weight.abs().max().item() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize(("height", "width"), [(11, 28), (28, 11), (1, 1)])
def test_images_below_12_px_are_refused(height: int, width: int) -> None:
    with pytest.raises(InputError, match=f"at least 12 px, got {height}x{width}"):
        LeNet(classes=10, channels=1, height=height, width=width)


@pytest.mark.parametrize(
    ("height", "width", "inputs"),
    # Padded 5x5, halved, 5x5 (four less), halved: 12 -> 6 -> 2 -> 1; 20 -> 10 -> 6 -> 3;
    # 33 -> 16 -> 12 -> 6; 28 -> 14 -> 10 -> 5; 16 maps.
    [(12, 12, 16), (12, 20, 16 * 3), (33, 13, 16 * 6), (28, 28, 400)],
)
def test_images_that_are_not_square_are_trained_on(height: int, width: int, inputs: int) -> None:
    data = noise(12, height=height, width=width)
    network, _ = trained(data)
    assert network.hidden1.in_features == inputs
    features, logits = forward(network, data[0])
    assert (features.shape, logits.shape) == ((12, 84), (12, 10))


def test_a_network_that_was_saved_and_loaded_gives_the_same_features(
    digits: tuple[Labelled, Labelled], tmp_path: Path
) -> None:
    network, _ = trained(first_images(digits[0], 100))
    path = tmp_path / "network.safetensors"
    save_arrays(path, network.arrays(), {"shape": network.shape})
    loaded = LeNet.from_arrays(load_arrays(path), load_about(path)["shape"])
    for before, after in zip(
        forward(network, digits[1][0]), forward(loaded, digits[1][0]), strict=True
    ):
        assert torch.equal(before, after)
