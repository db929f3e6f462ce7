"""Each kind of synthetic anomaly has the properties of its name."""

import numpy as np
import pytest

from belong.data.synthetic_anomalies import DERIVED, PATCHES


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 200, (20, 2, 13, 10), dtype=np.uint8)


@pytest.mark.parametrize("kind", DERIVED)
def test_they_have_the_form_of_the_images_and_differ_from_each_of_them(
    kind: str, images: np.ndarray
) -> None:
    before = images.copy()
    anomalies = DERIVED[kind](images, np.random.default_rng(0))
    assert anomalies.shape == images.shape
    assert anomalies.dtype == images.dtype
    assert (anomalies != images).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("kind", DERIVED)
def test_the_same_generator_makes_the_same_images(kind: str, images: np.ndarray) -> None:
    one, two = (DERIVED[kind](images, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_shuffled_images_have_the_same_patches_in_another_order(images: np.ndarray) -> None:
    anomalies = DERIVED["shuffled"](images, np.random.default_rng(0))
    h, w = 13 // PATCHES, 10 // PATCHES

    def patches(image: np.ndarray) -> list[bytes]:
        corners = [(h * row, w * column) for row in range(PATCHES) for column in range(PATCHES)]
        return sorted(image[:, y : y + h, x : x + w].tobytes() for y, x in corners)

    assert [patches(image) for image in anomalies] == [patches(image) for image in images]
    np.testing.assert_array_equal(anomalies[..., 12:, :], images[..., 12:, :])


def test_turning_and_inverting_twice_gives_the_images_back(images: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for kind in ("rotated", "inverted"):
        np.testing.assert_array_equal(DERIVED[kind](DERIVED[kind](images, rng), rng), images)


def test_gaussian_noise_has_the_mean_and_spread_of_the_pixels(images: np.ndarray) -> None:
    many = np.concatenate([images] * 20)
    anomalies = DERIVED["gaussian_noise"](many, np.random.default_rng(0))
    assert anomalies.mean() == pytest.approx(many.mean(), rel=0.02)
    assert anomalies.std() == pytest.approx(many.std(), rel=0.05)
