"""Generate synthetic anomalies: noise, and distorted normal images.

No detector is trained on them, not even the supervised head. Each function takes images
(n, ch, h, w) uint8 and a random generator, and returns as many images of the same shape.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

Derive = Callable[[np.ndarray, np.random.Generator], np.ndarray]

BLUR_PX = 2.0  # standard deviation of the blur
PATCHES = 4  # a shuffled image is divided into 4 x 4 patches


def uniform_noise(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return uniform noise, independent of the image."""
    return rng.integers(0, 256, images.shape, dtype=np.uint8)


def gaussian_noise(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return Gaussian noise with the mean and spread of the images, clipped to 0-255."""
    mean, std = _moments(images)
    result = np.empty_like(images)
    for row in range(len(images)):  # one by one, as float64 takes eight times the memory
        result[row] = rng.normal(mean, std, images.shape[1:]).round().clip(0, 255)
    return result


def _moments(images: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of all pixels, from their histogram."""
    # Image by image, as NumPy converts to int64, which takes eight times the memory.
    counts, levels = np.zeros(256, np.int64), np.arange(256)
    for image in images:
        counts += np.bincount(image.ravel(), minlength=256)
    mean = counts @ levels / counts.sum()
    return float(mean), float(np.sqrt(counts @ (levels - mean) ** 2 / counts.sum()))


def inverted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Invert the pixel values."""
    return 255 - images


def blurred(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Blur the images."""
    from scipy.ndimage import gaussian_filter  # lazy import: most callers need only the names

    return np.asarray(gaussian_filter(images, sigma=(0, 0, BLUR_PX, BLUR_PX)))


def shuffled(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut each image into patches and permute them at random."""
    n, channels, height, width = images.shape
    h, w = height // PATCHES, width // PATCHES
    result = images.copy()  # pixels outside of complete patches stay in place
    grid = images[..., : PATCHES * h, : PATCHES * w]
    grid = grid.reshape(n, channels, PATCHES, h, PATCHES, w).transpose(0, 2, 4, 1, 3, 5)
    patches = grid.reshape(n, PATCHES**2, channels, h, w)
    order = rng.permuted(np.tile(np.arange(PATCHES**2), (n, 1)), axis=1)
    patches = np.take_along_axis(patches, order[:, :, None, None, None], axis=1)
    back = patches.reshape(n, PATCHES, PATCHES, channels, h, w).transpose(0, 3, 1, 4, 2, 5)
    whole = (n, channels, PATCHES * h, PATCHES * w)
    result[..., : PATCHES * h, : PATCHES * w] = back.reshape(whole)
    return result


def rotated(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Rotate by 180 degrees, which keeps the size of any image."""
    return np.ascontiguousarray(images[..., ::-1, ::-1])


DERIVED: Mapping[str, Derive] = {
    "uniform_noise": uniform_noise,
    "gaussian_noise": gaussian_noise,
    "inverted": inverted,
    "blurred": blurred,
    "shuffled": shuffled,
    "rotated": rotated,
}


def derive(images: np.ndarray, *, most: int, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield anomalies of each kind: `derived/KIND` and images (m, ch, h, w) uint8.

    Args:
        images: (n, ch, h, w) uint8, the originals.
        most: maximum number per kind; at most n.
        seed: random seed of the sample and of the changes.
    """
    rng = np.random.default_rng(seed)
    sample = images[drawn_rows(len(images), most=most, rng=rng)]
    for kind, spoil in DERIVED.items():
        yield f"derived/{kind}", spoil(sample, rng)


def drawn_rows(n: int, *, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return the sorted indices of the images that anomalies are derived from: (m,) int64."""
    return np.sort(rng.choice(n, min(most, n), replace=False))
