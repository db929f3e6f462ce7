"""The autoencoder: repeatable; its codes and errors follow from its weights."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor

from belong.data.idx import read
from belong.models.autoencoder import Autoencoder, averaged_down, fit
from belong.runtime.errors import InputError
from belong.runtime.storage import load_arrays, save_arrays
from tests.imports import ROOT

pytestmark = pytest.mark.pipeline

SMALL = ROOT / "tests" / "data" / "mnist-small"

Fitted = tuple[Autoencoder, list[dict[str, float]]]


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """Return MNIST's first 2000 training images."""
    data = read(SMALL)
    return torch.from_numpy(data.images[~data.is_test])


def fitted_to(
    images: Tensor,
    *,
    epochs: int = 12,
    seed: int = 0,
    learning_rate: float = 0.008,
    most_side_px: int = 32,
) -> Fitted:
    return fit(
        images,
        units=50,
        epochs=epochs,
        batch_size=20,
        learning_rate=learning_rate,
        most_side_px=most_side_px,
        generator=torch.Generator().manual_seed(seed),
    )


@pytest.fixture(scope="module")
def fitted(digits: Tensor) -> Fitted:
    return fitted_to(digits)


@torch.no_grad()
def forward(autoencoder: Autoencoder, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes (n, 50) and errors (n,)."""
    codes, errors = autoencoder(images)
    return codes, errors


def bytes_of(fitted: Fitted) -> dict[str, bytes]:
    return {name: x.tobytes() for name, x in fitted[0].arrays().items()}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(digits: Tensor) -> None:
    first, second, other = (fitted_to(digits[:200], epochs=2, seed=seed) for seed in (1, 1, 2))
    assert bytes_of(first) == bytes_of(second)
    assert first[1] == second[1]
    assert bytes_of(first)["encoder.weight"] != bytes_of(other)["encoder.weight"]


def test_the_error_falls_from_each_epoch_to_the_next(fitted: Fitted) -> None:
    errors = [row["reconstruction_error"] for row in fitted[1]]
    assert [row["epoch"] for row in fitted[1]] == list(range(1, 13))
    assert all(after < before for before, after in pairwise(errors))


def test_drawn_digits_are_at_most_half_as_far_off_as_the_mean_digit(
    digits: Tensor, fitted: Fitted
) -> None:
    pixels = digits.flatten(1).double() / 255
    of_the_mean = (pixels - pixels.mean(dim=0)).square().mean()
    assert forward(fitted[0], digits)[1].mean() < of_the_mean / 2


def test_there_are_50_codes_between_0_and_1_for_each_image(digits: Tensor, fitted: Fitted) -> None:
    codes, errors = forward(fitted[0], digits)
    assert codes.shape == (2000, 50)
    assert errors.shape == (2000,)
    assert (codes >= 0).all()
    assert (codes <= 1).all()


def test_codes_and_errors_are_those_that_numpy_gets_from_the_weights(
    digits: Tensor, fitted: Fitted
) -> None:
    arrays = {name: x.astype(np.float64) for name, x in fitted[0].arrays().items()}
    pixels = digits.numpy().reshape(2000, 784) / 255
    codes = expit(pixels @ arrays["encoder.weight"].T + arrays["encoder.bias"])
    decoded = expit(codes @ arrays["decoder.weight"].T + arrays["decoder.bias"])
    ours = forward(fitted[0], digits)
    np.testing.assert_allclose(ours[0], codes, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours[1], ((decoded - pixels) ** 2).mean(axis=1), rtol=1e-4)


def test_an_autoencoder_that_was_saved_and_loaded_gives_the_same_codes_and_errors(
    digits: Tensor, fitted: Fitted, tmp_path: Path
) -> None:
    save_arrays(tmp_path / "autoencoder.safetensors", fitted[0].arrays())
    loaded = Autoencoder.from_arrays(load_arrays(tmp_path / "autoencoder.safetensors"))
    for ours, theirs in zip(forward(loaded, digits), forward(fitted[0], digits), strict=True):
        assert torch.equal(ours, theirs)


def test_images_of_several_channels_are_drawn_pixel_by_pixel_and_channel_by_channel() -> None:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (40, 3, 5, 4), dtype=torch.uint8, generator=generator)
    autoencoder, _ = fitted_to(images, epochs=1)
    assert autoencoder.arrays()["decoder.weight"].shape == (60, 50)


def test_a_learning_rate_under_which_the_error_is_no_number_is_refused(digits: Tensor) -> None:
    with pytest.raises(InputError, match=r"the reconstruction error is nan after epoch \d+"):
        fitted_to(digits[:200], learning_rate=1e38)


def test_an_image_is_averaged_over_squares_and_what_is_left_of_them_at_the_edges() -> None:
    image = torch.tensor([[0, 10, 4], [20, 30, 8], [1, 5, 250]], dtype=torch.uint8)[None, None]
    # Two by two: (0 + 10 + 20 + 30) / 4, (4 + 8) / 2; (1 + 5) / 2, 250.
    expected = torch.tensor([[15, 6], [3, 250]], dtype=torch.uint8)[None, None]
    for most_values in (4, 5, 8):
        assert torch.equal(averaged_down(image, most_values=most_values), expected)


def test_images_that_are_small_enough_stay_as_they_are() -> None:
    images = torch.arange(24, dtype=torch.uint8).reshape(2, 1, 3, 4)
    assert averaged_down(images, most_values=12) is images


# 40 px: squares of 2 give 20, of 3 give 14 (the last one cut), of 4 give 10.
@pytest.mark.parametrize(("most_side_px", "side"), [(39, 20), (20, 20), (19, 14), (13, 10)])
def test_the_longer_side_is_brought_to_at_most_so_many_pixels_before_training(
    most_side_px: int, side: int
) -> None:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (30, 3, 40, 40), dtype=torch.uint8, generator=generator)
    autoencoder, _ = fitted_to(images, epochs=1, most_side_px=most_side_px)
    assert autoencoder.encoder.in_features == 3 * side * side
    small = averaged_down(images, most_values=3 * side * side)
    assert small.shape == (30, 3, side, side)
    for large, already in zip(
        forward(autoencoder, images), forward(autoencoder, small), strict=True
    ):
        assert torch.equal(large, already)
