"""Isolation forest, against scikit-learn's own scores."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import IsolationForest
from torch import Tensor

from belong.artefacts import load_arrays, save_arrays
from belong.isolation_forest import Forest, fit, mean_depth


def vectors(generator: torch.Generator, n: int) -> Tensor:
    return torch.randn(n, 4, generator=generator)


def search_depth(sample: int) -> float:
    """Return c(n), the depth that scikit-learn measures in (Liu et al., eq. 1), for n > 2."""
    return 2 * (math.log(sample - 1) + np.euler_gamma) - 2 * (sample - 1) / sample


@pytest.mark.parametrize(("n", "sample"), [(300, 64), (300, 300), (40, 64)])
@pytest.mark.parametrize("seed", [0, 7])
def test_two_to_the_depth_in_units_of_c_is_scikit_learns_score(
    generator: torch.Generator, n: int, sample: int, seed: int
) -> None:
    x = vectors(generator, n)
    queries = 2 * vectors(generator, 200)
    used = min(n, sample)  # fewer vectors than the sample: each tree is grown on all
    theirs = IsolationForest(n_estimators=30, max_samples=used, random_state=seed).fit(x.numpy())
    depth = mean_depth(fit(x, trees=30, sample=sample, seed=seed), queries)
    ours = -(2.0 ** (-depth.double().numpy() / search_depth(used)))
    np.testing.assert_allclose(ours, theirs.score_samples(queries.numpy()), rtol=0, atol=1e-6)


def test_vectors_that_are_all_equal_score_as_in_scikit_learn() -> None:
    # No cut tells them apart: every tree is a leaf with all of its sample in it.
    x = torch.ones(30, 3)
    depth = mean_depth(fit(x, trees=5, sample=16, seed=0), x)
    np.testing.assert_allclose(depth, search_depth(16), rtol=1e-6)


def test_a_forest_that_was_saved_and_loaded_gives_the_same_depths(
    generator: torch.Generator, tmp_path: Path
) -> None:
    x = vectors(generator, 100)
    forest = fit(x, trees=20, sample=32, seed=0)
    arrays = {name: values.numpy() for name, values in forest._asdict().items()}
    save_arrays(tmp_path / "forest.safetensors", arrays)
    loaded = load_arrays(tmp_path / "forest.safetensors")
    again = Forest(**{name: torch.from_numpy(loaded[name]) for name in Forest._fields})
    assert torch.equal(mean_depth(again, x), mean_depth(forest, x))


def test_the_same_seed_grows_the_same_forest_and_another_seed_another(
    generator: torch.Generator,
) -> None:
    x = vectors(generator, 100)
    first, again, other = (fit(x, trees=20, sample=32, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(mean_depth(first, x), mean_depth(other, x))


def test_a_vector_far_out_is_isolated_sooner_than_the_middle_one(
    generator: torch.Generator,
) -> None:
    forest = fit(vectors(generator, 300), trees=50, sample=64, seed=0)
    middle, far_out = mean_depth(forest, torch.tensor([[0.0] * 4, [6.0] * 4])).tolist()
    assert far_out < middle - 2


@pytest.mark.parametrize("chunk", [1, 39, 40, 41])
def test_the_size_of_a_chunk_does_not_change_a_bit(generator: torch.Generator, chunk: int) -> None:
    x = vectors(generator, 40)
    forest = fit(x, trees=10, sample=16, seed=0)
    assert torch.equal(mean_depth(forest, x, chunk=chunk), mean_depth(forest, x))


def test_no_vectors_get_no_depths(generator: torch.Generator) -> None:
    forest = fit(vectors(generator, 50), trees=5, sample=16, seed=0)
    assert mean_depth(forest, torch.empty(0, 4)).shape == (0,)
