"""Distances to the k-th nearest vector, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.testing import assert_close

from belong.detectors.knn_search import Neighbors
from belong.runtime.errors import InputError


def distances_by_scikit_learn(queries: Tensor, reference: Tensor, k: int) -> np.ndarray:
    """Return the distance of each query to its k-th neighbor, in float64: (m,)."""
    # A tree takes differences; "brute" would take a product, and lose digits.
    tree = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(reference.double().numpy())
    distances: np.ndarray = tree.kneighbors(queries.double().numpy())[0]
    return distances[:, -1]


@pytest.mark.parametrize("k", [1, 2, 7, 200])
def test_distances_are_those_of_scikit_learn(generator: torch.Generator, k: int) -> None:
    reference = torch.randn(200, 6, generator=generator)
    queries = 2 * torch.randn(60, 6, generator=generator)
    ours = Neighbors(reference).kth_distance(queries, k=k)
    np.testing.assert_allclose(ours, distances_by_scikit_learn(queries, reference, k), rtol=1e-5)


def test_by_hand_the_second_nearest_of_0_3_and_10_is_3_from_0_and_4_from_6() -> None:
    reference = torch.tensor([[0.0], [3.0], [10.0]])
    queries = torch.tensor([[0.0], [6.0]])
    # From 0: 0, 3, 10. From 6: 3, 4, 6.
    assert Neighbors(reference).kth_distance(queries, k=2).tolist() == [3, 4]


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("d", [8, 50])
def test_near_duplicates_far_from_the_origin_get_the_distances_of_scikit_learn(
    generator: torch.Generator, k: int, d: int
) -> None:
    reference = 100 + torch.randn(300, d, generator=generator)
    queries = reference + 0.01 * torch.randn(300, d, generator=generator)
    ours = Neighbors(reference).kth_distance(queries, k=k)
    expected = distances_by_scikit_learn(queries, reference, k)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_near_duplicates_of_length_1_get_the_distances_of_scikit_learn(
    generator: torch.Generator,
) -> None:
    # A tight class, as the center loss makes them: the vectors point almost the same way.
    base = torch.randn(1, 50, generator=generator)
    reference = base + 0.01 * torch.randn(500, 50, generator=generator)
    reference /= torch.linalg.vector_norm(reference, dim=1, keepdim=True)
    queries = reference + 1e-5 * torch.randn(500, 50, generator=generator)
    for k in (1, 5):
        expected = distances_by_scikit_learn(queries, reference, k)
        ours = Neighbors(reference).kth_distance(queries, k=k)
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_a_reference_vector_is_0_from_itself_however_long(generator: torch.Generator) -> None:
    reference = 100 + torch.randn(50, 8, generator=generator)
    assert Neighbors(reference).kth_distance(reference, k=1).tolist() == [0] * 50


@pytest.mark.parametrize("chunk", [1, 7, 39, 40, 41])
def test_the_size_of_a_chunk_does_not_matter(generator: torch.Generator, chunk: int) -> None:
    reference = torch.randn(90, 6, generator=generator)
    queries = torch.randn(40, 6, generator=generator)
    whole = Neighbors(reference).kth_distance(queries, k=5)
    assert_close(Neighbors(reference).kth_distance(queries, k=5, chunk=chunk), whole)


def test_the_n_th_nearest_of_n_vectors_is_the_farthest(generator: torch.Generator) -> None:
    reference = torch.randn(90, 6, generator=generator)
    queries = torch.randn(40, 6, generator=generator)
    farthest = (queries[:, None] - reference).norm(dim=2).amax(dim=1)
    assert_close(Neighbors(reference).kth_distance(queries, k=90), farthest)


@pytest.mark.parametrize("m", [0, 3])
def test_a_k_larger_than_n_is_refused_whatever_the_queries(
    generator: torch.Generator, m: int
) -> None:
    reference = torch.randn(9, 6, generator=generator)
    with pytest.raises(
        InputError, match="k: expected at most 9, the number of training images, got 10"
    ):
        Neighbors(reference).kth_distance(reference[:m], k=10)


def test_no_queries_get_no_distances(generator: torch.Generator) -> None:
    reference = torch.randn(9, 6, generator=generator)
    distances = Neighbors(reference).kth_distance(reference[:0], k=2)
    assert distances.shape == (0,)
    assert distances.dtype == torch.float32


@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 1000])
@pytest.mark.parametrize("k", [1, 3, 40, 1000])
def test_any_number_of_vectors_fills_its_groups(generator: torch.Generator, n: int, k: int) -> None:
    reference = torch.randn(n, 4, generator=generator)
    queries = torch.randn(20, 4, generator=generator)
    k = min(k, n)
    by_definition = (queries[:, None] - reference).norm(dim=2).sort(dim=1).values[:, k - 1]
    assert_close(Neighbors(reference).kth_distance(queries, k=k), by_definition)


def test_neighbors_that_lie_in_one_group_are_all_found() -> None:
    reference = torch.full((96, 1), 100.0)
    groups = reference.view(32, 3)  # groups of the three columns
    groups[:, 1] = torch.arange(32.0)
    queries = torch.tensor([[-1.0]])
    nearest = [Neighbors(reference).kth_distance(queries, k=k).item() for k in range(1, 34)]
    assert nearest == [*range(1, 33), 101]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_query_that_is_not_finite_has_a_distance_that_is_not(
    generator: torch.Generator, value: float
) -> None:
    reference = torch.randn(33, 4, generator=generator)
    queries = torch.full((1, 4), value)
    assert not Neighbors(reference).kth_distance(queries, k=2).isfinite().any()
