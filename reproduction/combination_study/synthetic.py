"""Generate synthetic anomalies from held-out training images, to choose the combination.

The kinds differ from those that the pipeline derives from test images to measure detectors
(`belong.data.synthetic_anomalies`). Most are corruptions of MNIST-C (Mu and Gilmer, MNIST-C: A
Robustness Benchmark for Computer Vision, 2019, https://arxiv.org/abs/1906.02337), at a strength
that a person notices. `mixed`, `halves` and `waved` are near anomalies, made of parts of normal
images.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

Change = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def mixed(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Return the lighter pixel of two images of different classes."""
    return np.asarray(np.maximum(images, others))


def halves(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Join the left half of one image and the right half of an image of another class."""
    width = images.shape[-1]
    return np.where(np.arange(width) < width // 2, images, others)


def waved(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Shift the rows along a wave, by at most a seventh of the side."""
    side = images.shape[-2]
    shifts = np.round(side / 7 * np.sin(4 * np.pi * np.arange(side) / side)).astype(int)
    rows = [np.roll(images[..., y, :], shift, axis=-1) for y, shift in enumerate(shifts)]
    return np.stack(rows, axis=-2)


def sheared(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Slant the images by 45 degrees."""
    side = images.shape[-2]
    rows = [np.roll(images[..., y, :], y - side // 2, axis=-1) for y in range(side)]
    return np.stack(rows, axis=-2)


def turned(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Rotate square images by 90 degrees."""
    return np.ascontiguousarray(np.rot90(images, axes=(2, 3)))


def shrunk(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Reduce the images to half their size, and repeat them four times."""
    small = images[..., ::2, ::2]
    return np.tile(small, (1, 1, 2, 2))[..., : images.shape[2], : images.shape[3]]


def occluded(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Cover a random square of half the side with gray."""
    covered = images.copy()
    side = images.shape[-1] // 2
    corners = rng.integers(0, images.shape[-1] - side + 1, (len(images), 2))
    for image, (y, x) in zip(covered, corners, strict=True):
        image[:, y : y + side, x : x + side] = 128
    return covered


def motion_blurred(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Average along a quarter of each row."""
    return np.asarray(ndimage.uniform_filter1d(images, images.shape[-1] // 4, axis=-1))


def pixelated(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Divide the images into squares of a seventh of the side, each of one value."""
    step = max(images.shape[-1] // 7, 2)
    values = ndimage.uniform_filter(images, (1, 1, step, step))[
        ..., step // 2 :: step, step // 2 :: step
    ]
    large = values.repeat(step, axis=2).repeat(step, axis=3)
    missing = [(0, 0)] * 2 + [
        (0, max(a - b, 0)) for a, b in zip(images.shape[2:], large.shape[2:], strict=True)
    ]
    return np.pad(large, missing, mode="edge")[..., : images.shape[2], : images.shape[3]]


def faded(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Reduce the contrast to a third."""
    return images // 3 + 85


def darkened(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Reduce the brightness to a third."""
    return images // 3


def speckled(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Set a twentieth of the pixels to black or white."""
    draws = rng.random(images.shape)
    return np.where(draws < 0.025, 0, np.where(draws > 0.975, 255, images)).astype(np.uint8)


def thickened(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Replace each pixel by the lightest one within a ninth of the side."""
    size = max(images.shape[-1] // 9, 2)
    return np.asarray(ndimage.maximum_filter(images, (1, 1, size, size)))


def outlined(images: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """Return the edges of the images."""
    size = (1, 1, 3, 3)
    return np.asarray(ndimage.maximum_filter(images, size) - ndimage.minimum_filter(images, size))


KINDS: Mapping[str, Change] = {
    one.__name__: one
    for one in (
        mixed, halves, waved, sheared, turned, shrunk, occluded, motion_blurred, pixelated, faded,
        darkened, speckled, thickened, outlined,
    )
}  # fmt: skip


def synthetic(images: np.ndarray, labels: np.ndarray, *, seed: int) -> dict[str, np.ndarray]:
    """Return anomalies of each kind: `synthetic/KIND` and images (n, ch, h, w) uint8.

    Args:
        images: (n, ch, h, w) uint8, square.
        labels: (n,), their classes, at least two different ones.
        seed: random seed of the pairs and of the changes.
    """
    rng = np.random.default_rng([seed, 4])
    others = np.array([rng.choice(np.flatnonzero(labels != label)) for label in labels])
    return {
        f"synthetic/{name}": change(images, images[others], rng) for name, change in KINDS.items()
    }
