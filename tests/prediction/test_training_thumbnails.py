"""A model keeps small training images to the pixel, and photos as JPEG."""

import io

import numpy as np
from PIL import Image

from belong.prediction.training_thumbnails import packed, unpacked


def test_small_images_are_kept_to_the_pixel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 28, 28), np.uint8)
    arrays = packed(images)
    assert set(arrays) == {"thumbnails"}
    for image, one in zip(images, unpacked(arrays), strict=True):
        np.testing.assert_array_equal(one, image)


def test_photos_are_kept_as_jpeg_each_with_its_own_bytes() -> None:
    y, x = np.mgrid[:224, :224]
    images = np.stack([np.stack([x, y, x * 0 + 60 * k]) for k in range(4)]).astype(np.uint8)
    arrays = packed(images)
    assert arrays["photos"].dtype == np.uint8
    assert arrays["photo_ends"][-1] == len(arrays["photos"]) < images.nbytes / 10
    for image, content in zip(images, unpacked(arrays), strict=True):
        assert isinstance(content, bytes)
        decoded = np.asarray(Image.open(io.BytesIO(content))).transpose(2, 0, 1)
        assert decoded.shape == image.shape
        assert np.abs(decoded.astype(float) - image).mean() < 4


def test_the_same_photos_are_kept_as_the_same_bytes() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 80, 100), np.uint8)
    first, second = packed(images), packed(images)
    assert first["photos"].tobytes() == second["photos"].tobytes()
