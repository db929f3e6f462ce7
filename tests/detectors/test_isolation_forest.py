"""Isolation forest, against scikit-learn's own scores."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import IsolationForest
from torch import Tensor

from belong.detectors import isolation_forest
from belong.detectors.isolation_forest import Forest, fit, groves_of


def mean_depth(forest: Forest, x: torch.Tensor, *, chunk: int = 6144) -> torch.Tensor:
    return isolation_forest.mean_depth(groves_of(forest), x, chunk=chunk)


def vectors(generator: torch.Generator, n: int) -> Tensor:
    return torch.randn(n, 4, generator=generator)


def of_scikit_learn(forest: IsolationForest) -> Forest:
    trees = [estimator.tree_ for estimator in forest.estimators_]
    columns = [
        [tree.feature for tree in trees],
        [tree.threshold for tree in trees],
        [tree.children_left for tree in trees],
        [tree.children_right for tree in trees],
        [depths(tree) for tree in trees],
    ]
    nodes = torch.tensor([tree.node_count for tree in trees])
    return Forest(nodes, *(torch.from_numpy(np.concatenate(column)) for column in columns))


def depths(tree: Any) -> np.ndarray:
    """Return the depth of each node as a `Forest` has it: its own, and in leaves c(n) on top."""
    depth = np.zeros(tree.node_count, dtype=np.float32)
    for node in np.flatnonzero(tree.children_left >= 0):
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    for leaf in np.flatnonzero(tree.children_left < 0):
        n = tree.n_node_samples[leaf]
        depth[leaf] += search_depth(n) if n > 2 else n - 1
    return depth


def search_depth(sample: int) -> float:
    """Return c(n), the depth that scikit-learn measures in (Liu et al., eq. 1), for n > 2."""
    return 2 * (math.log(sample - 1) + np.euler_gamma) - 2 * (sample - 1) / sample


# 5000: paths of 13 bits, which no byte holds.
@pytest.mark.pipeline
@pytest.mark.parametrize(("n", "sample"), [(300, 64), (300, 300), (5000, 5000)])
@pytest.mark.parametrize("seed", [0, 7])
def test_two_to_the_depth_of_scikit_learns_trees_in_units_of_c_is_its_score(
    generator: torch.Generator, n: int, sample: int, seed: int
) -> None:
    x = vectors(generator, n)
    queries = 2 * vectors(generator, 200)
    theirs = IsolationForest(n_estimators=60, max_samples=sample, random_state=seed).fit(x.numpy())
    depth = mean_depth(of_scikit_learn(theirs), queries)
    ours = -(2.0 ** (-depth.double().numpy() / search_depth(sample)))
    np.testing.assert_allclose(ours, theirs.score_samples(queries.numpy()), rtol=0, atol=1e-6)


def test_a_vector_on_a_cut_goes_the_way_that_scikit_learns_goes() -> None:
    # Cuts are float64: between them and the nearest float32 lie none, but the vectors themselves.
    x = torch.randint(0, 3, (200, 2), generator=torch.Generator().manual_seed(0)).float() / 3
    theirs = IsolationForest(n_estimators=50, max_samples=200, random_state=0).fit(x.numpy())
    forest = of_scikit_learn(theirs)
    on_cuts = forest.cut[forest.axis >= 0].float()[:, None].expand(-1, 2).contiguous()
    ours = -(2.0 ** (-mean_depth(forest, on_cuts).double().numpy() / search_depth(200)))
    np.testing.assert_allclose(ours, theirs.score_samples(on_cuts.numpy()), rtol=0, atol=1e-6)


@pytest.mark.pipeline
@pytest.mark.parametrize(("n", "sample"), [(1000, 256), (40, 64)])
def test_depths_are_those_of_scikit_learns_forests_up_to_chance(
    generator: torch.Generator, n: int, sample: int
) -> None:
    # A few values only, and an axis with none: cuts are drawn again where vectors are equal.
    x = (2 * vectors(generator, n)).round()
    x[:, 3] = 1.0
    queries = 2 * vectors(generator, 200)
    theirs = [
        mean_depth(of_scikit_learn(
            IsolationForest(n_estimators=500, max_samples=min(n, sample), random_state=seed)
            .fit(x.numpy())
        ), queries)
        for seed in range(2)
    ]  # fmt: skip
    ours = [mean_depth(fit(x, trees=500, sample=sample, seed=seed), queries) for seed in range(2)]
    by_chance = (theirs[0] - theirs[1]).square().mean().sqrt()
    means = torch.stack(ours).mean(dim=0), torch.stack(theirs).mean(dim=0)
    apart = (means[0] - means[1]).square().mean().sqrt()
    assert apart < 1.3 * by_chance / 2**0.5


def test_the_end_of_three_on_a_line_is_set_apart_first_as_often_as_its_gap_is_wide() -> None:
    # 0, 0.3, 1: a first cut below 0.3 sets 0 apart at depth 1, any other leaves it for depth 2.
    forest = fit(torch.tensor([[0.0], [0.3], [1.0]]), trees=4000, sample=3, seed=0)
    ends = mean_depth(forest, torch.tensor([[0.0], [0.3], [1.0]]))
    # Standard error: sqrt(0.3 * 0.7 / 4000) = 0.007.
    np.testing.assert_allclose(ends, [1.7, 2.0, 1.3], atol=0.03)


def test_the_axes_on_which_vectors_differ_are_cut_equally_often_and_the_others_never(
    generator: torch.Generator,
) -> None:
    x = torch.zeros(100, 5)
    x[:, [1, 4]] = torch.randn(100, 2, generator=generator) * torch.tensor([1.0, 50.0])
    forest = fit(x, trees=2000, sample=16, seed=0)
    roots = forest.axis[forest.nodes.cumsum(0) - forest.nodes]
    assert set(forest.axis.tolist()) == {-2, 1, 4}
    assert (roots == 1).float().mean().item() == pytest.approx(0.5, abs=0.05)  # 4 standard errors


def test_no_vector_is_twice_in_a_sample(generator: torch.Generator) -> None:
    # With two of two vectors in each sample, each tree cuts once.
    forest = fit(vectors(generator, 2), trees=100, sample=2, seed=0)
    assert forest.nodes.tolist() == [3] * 100


def test_neighbors_in_float32_are_cut_apart() -> None:
    # Between the two there is no float32: the cut must not be rounded onto the upper one.
    upper = float(np.nextafter(np.float32(1), np.float32(2)))
    forest = fit(torch.tensor([[1.0], [upper]]), trees=200, sample=2, seed=0)
    assert torch.equal(mean_depth(forest, torch.tensor([[1.0], [upper]])), torch.ones(2))
    assert forest.cut[forest.axis >= 0].max() < upper


def test_the_number_of_threads_does_not_change_a_bit(generator: torch.Generator) -> None:
    x = vectors(generator, 500)
    forest, before = fit(x, trees=70, sample=64, seed=0), torch.get_num_threads()
    try:
        depths_of = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            depths_of.append(mean_depth(forest, x, chunk=100))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*depths_of)


def test_vectors_that_are_all_equal_score_as_in_scikit_learn() -> None:
    # No cut tells them apart: every tree is a leaf with all of its sample in it.
    x = torch.ones(30, 3)
    depth = mean_depth(fit(x, trees=5, sample=16, seed=0), x)
    np.testing.assert_allclose(depth, search_depth(16), rtol=1e-6)


def test_the_same_seed_grows_the_same_forest_and_another_seed_another(
    generator: torch.Generator,
) -> None:
    x = vectors(generator, 100)
    first, second, other = (fit(x, trees=20, sample=32, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
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
