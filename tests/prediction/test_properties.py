"""Properties of the numeric core for any data; hypothesis searches for counterexamples."""

import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from belong.calibration import conformal
from belong.detectors.mahalanobis import ClassGaussians, fit
from belong.runtime.storage import load_arrays, save_arrays

NAMES = ["ant", "bee", "cat", "dog"]
# A class of too few images for its features has no covariance of its own.
sizes = st.tuples(st.integers(2, 4), st.integers(12, 40), st.integers(1, 6))  # c, n of each, d
seeds = st.integers(0, 2**31)
few_examples = settings(max_examples=40)


def random_features(size: tuple[int, int, int], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return training features (c * n, d) with their labels, and other features (25, d)."""
    c, n, d = size
    rng = torch.Generator().manual_seed(seed)
    centers = 4 * torch.randn(c, 1, d, generator=rng)
    features = (torch.randn(c, n, d, generator=rng) + centers).reshape(c * n, d)
    return features, torch.arange(c).repeat_interleave(n), 4 * torch.randn(25, d, generator=rng)


def fitted(features: Tensor, labels: Tensor, ridge: float = 0.001) -> ClassGaussians:
    names = NAMES[: int(labels.max()) + 1]
    return fit(features, labels, names, quantile=0.975, ridge=ridge, covariance="per_class")


@few_examples
@given(sizes, seeds, st.floats(-6, 6))
def test_scores_do_not_change_with_the_unit_of_the_features(
    size: tuple[int, int, int], seed: int, power: float
) -> None:
    features, labels, others = random_features(size, seed)
    scale = 10.0**power
    before = fitted(features, labels).score(others)
    after = fitted(scale * features, labels).score(scale * others)
    assert_close(after, before, rtol=1e-3, atol=1e-4)


@few_examples
@given(sizes, seeds)
def test_without_a_ridge_scores_do_not_change_under_an_affine_map(
    size: tuple[int, int, int], seed: int
) -> None:
    features, labels, others = random_features(size, seed)
    d = size[2]
    rng = torch.Generator().manual_seed(seed + 1)
    rotation, _ = torch.linalg.qr(torch.randn(d, d, generator=rng))
    linear = rotation * (0.5 + torch.rand(d, generator=rng))  # of a condition of at most 3
    move = torch.randn(d, generator=rng)
    before = fitted(features, labels, 0.0).score(others)
    after = fitted(features @ linear + move, labels, 0.0).score(others @ linear + move)
    assert_close(after, before, rtol=1e-3, atol=1e-3)


@few_examples
@given(sizes, seeds)
def test_neither_the_order_of_images_nor_the_numbers_of_classes_matter(
    size: tuple[int, int, int], seed: int
) -> None:
    features, labels, others = random_features(size, seed)
    rng = torch.Generator().manual_seed(seed + 1)
    rows = torch.randperm(len(features), generator=rng)
    numbers = torch.randperm(size[0], generator=rng)
    before = fitted(features, labels).distances(others)
    after = fitted(features[rows], numbers[labels[rows]]).distances(others)
    assert_close(after[:, numbers], before, rtol=1e-4, atol=1e-4)


@few_examples
@given(sizes, seeds, st.integers(1, 30))
def test_chunks_of_any_size_and_a_file_in_between_give_the_same_distances(
    size: tuple[int, int, int], seed: int, chunk: int
) -> None:
    features, labels, others = random_features(size, seed)
    gaussians = fitted(features, labels)
    with tempfile.TemporaryDirectory() as folder:
        save_arrays(Path(folder) / "gaussians", gaussians.arrays())
        loaded = ClassGaussians.from_arrays(load_arrays(Path(folder) / "gaussians"))
    assert torch.equal(loaded.distances(others), gaussians.distances(others))
    assert_close(gaussians.distances(others, chunk=chunk), gaussians.distances(others))


distinct = st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=60, unique=True)


@given(distinct, st.integers(1, 999))
def test_the_promised_share_of_exchangeable_scores_is_rejected(
    values: list[int], thousandths: int
) -> None:
    """Each of n scores in turn is new, and the others calibrate: floor(alpha n) are rejected."""
    scores, alpha = np.array(values, float), thousandths / 1000
    rejected = sum(
        conformal.p_values(np.delete(scores, i), scores[i : i + 1])[0] <= alpha + 1e-12
        for i in range(len(scores))
    )
    assert rejected == math.floor(thousandths * len(scores) / 1000)


@given(distinct, distinct, st.tuples(st.integers(1, 99), st.integers(1, 99)))
def test_who_belongs_at_one_alpha_belongs_at_every_smaller_one(
    held_out: list[int], new: list[int], percents: tuple[int, int]
) -> None:
    p_values = conformal.p_values(np.array(held_out, float), np.array(new, float))
    low, high = sorted(percents)
    belongs_at_high, belongs_at_low = p_values > high / 100, p_values > low / 100
    assert (belongs_at_high <= belongs_at_low).all()
    # The more anomalous of two images never has the larger p-value.
    assert (np.diff(p_values[np.argsort(new)]) <= 0).all()
