"""One Gaussian per class, against scipy, scikit-learn, pytorch-ood and numbers by hand."""

import math

import numpy as np
import pytest
import torch
from pytorch_ood.detector import Mahalanobis
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import EmpiricalCovariance
from torch import Tensor
from torch.testing import assert_close

from belong.detectors.mahalanobis import MANY_FEATURES, ClassGaussians, fit
from belong.runtime.errors import InputError

NAMES = ["ant", "bee", "cat"]


def clusters(
    generator: torch.Generator, *, n: int = 60, d: int = 4, c: int = 3
) -> tuple[Tensor, Tensor]:
    """Return features (c * n, d) of classes that differ in place and in shape, and labels."""
    labels = torch.arange(c).repeat_interleave(n)
    shapes = torch.eye(d) + 0.5 * torch.randn(c, d, d, generator=generator)
    centers = 5 * torch.randn(c, d, generator=generator)
    noise = torch.randn(c, n, d, generator=generator)
    return (noise @ shapes + centers[:, None]).reshape(c * n, d), labels


def fit_all(
    features: Tensor,
    labels: Tensor,
    *,
    quantile: float = 0.975,
    ridge: float = 0.0,
    covariance: str = "per_class",
) -> ClassGaussians:
    names = NAMES[: int(labels.max()) + 1]
    return fit(features, labels, names, quantile=quantile, ridge=ridge, covariance=covariance)


def distances_by_scipy(features: Tensor, labels: Tensor, x: Tensor, ridge: float) -> np.ndarray:
    """Return the distances of x (n, d) to the classes of the features in float64: (n, c)."""
    columns = []
    for label in range(int(labels.max()) + 1):
        rows = features[labels == label].double().numpy()
        covariance = np.cov(rows, rowvar=False)
        d = len(covariance)
        inverse = np.linalg.inv(covariance + ridge * np.trace(covariance) / d * np.eye(d))
        columns.append([mahalanobis(row, rows.mean(0), inverse) for row in x.double().numpy()])
    return np.array(columns).T


@pytest.mark.parametrize("ridge", [0.0, 0.001, 0.5])
def test_distances_are_those_of_scipy(generator: torch.Generator, ridge: float) -> None:
    features, labels = clusters(generator)
    x = 5 * torch.randn(40, 4, generator=generator)
    ours = fit_all(features, labels, ridge=ridge).distances(x)
    np.testing.assert_allclose(ours, distances_by_scipy(features, labels, x, ridge), rtol=1e-4)


@pytest.mark.parametrize("d", [2, 5, MANY_FEATURES - 1, MANY_FEATURES, MANY_FEATURES + 3])
def test_distances_are_those_of_scipy_however_many_parts_the_root_is_cut_into(
    generator: torch.Generator, d: int
) -> None:
    features, labels = clusters(generator, n=20, d=d, c=2)
    x = 5 * torch.randn(3, d, generator=generator)
    ours = fit_all(features, labels, ridge=0.1).distances(x)
    np.testing.assert_allclose(ours, distances_by_scipy(features, labels, x, 0.1), rtol=1e-4)


def test_squared_distances_are_those_of_scikit_learn_over_n_instead_of_n_minus_1(
    generator: torch.Generator,
) -> None:
    features, labels = clusters(generator, n=60)
    x = 5 * torch.randn(40, 4, generator=generator)
    theirs = [
        EmpiricalCovariance().fit(features[labels == label].double()).mahalanobis(x.double())
        for label in range(3)
    ]
    ours = fit_all(features, labels).distances(x).square()
    np.testing.assert_allclose(ours, np.stack(theirs, axis=1) * 59 / 60, rtol=1e-4)


def test_squared_score_of_one_class_is_twice_pytorch_oods_times_n_minus_1(
    generator: torch.Generator,
) -> None:
    # Comparable with one class only: theirs has one covariance for all classes. It is the sum
    # of the outer products, not divided by n - 1, and the score is half the square. Its ridge
    # of 1e-6 is too small to be seen.
    features, labels = clusters(generator, n=60, c=1)
    x = 5 * torch.randn(40, 4, generator=generator)
    theirs = Mahalanobis(None).fit_features(features.double(), labels).predict_features(x)
    ours = fit_all(features, labels).score_in_units(x).square()
    np.testing.assert_allclose(ours, theirs * 2 * 59, rtol=1e-4)


def test_on_a_line_the_distance_is_that_to_the_mean_in_standard_deviations() -> None:
    # -2 .. 2 around 10: mean 10, variance (4 + 1 + 0 + 1 + 4) / 4 = 2.5.
    features = 10 + torch.tensor([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
    fitted = fit_all(features, torch.zeros(5, dtype=torch.int64))
    assert_close(fitted.distances(torch.tensor([[15.0]])), torch.tensor([[5 / math.sqrt(2.5)]]))


def test_score_in_units_is_the_distance_to_the_nearest_class(generator: torch.Generator) -> None:
    features, labels = clusters(generator)
    x = 5 * torch.randn(40, 4, generator=generator)
    nearest = distances_by_scipy(features, labels, x, 0.0).min(axis=1)
    np.testing.assert_allclose(fit_all(features, labels).score_in_units(x), nearest, rtol=1e-4)


def test_threshold_by_hand_lies_between_the_two_largest_distances() -> None:
    # The mean is 0.2; from it 0.2, 0.8, 1.2, 2.2, 2.8. The 90% quantile is at position
    # 0.9 x 4 = 3.6, counted from 0: 2.2 + 0.6 x (2.8 - 2.2) = 2.56.
    x = torch.tensor([0.0, 1.0, -1.0, -2.0, 3.0])
    variance = (0.04 + 0.64 + 1.44 + 4.84 + 7.84) / 4
    fitted = fit_all(x[:, None], torch.zeros(5, dtype=torch.int64), quantile=0.9)
    assert_close(fitted.means, torch.tensor([[0.2]]))
    assert_close(fitted.thresholds, torch.tensor([2.56 / math.sqrt(variance)]))


def test_each_threshold_is_the_quantile_of_the_classs_own_training_distances(
    generator: torch.Generator,
) -> None:
    features, labels = clusters(generator)
    distances = distances_by_scipy(features, labels, features, 0.001)
    expected = [np.quantile(distances[labels == c, c], 0.975) for c in range(3)]
    fitted = fit_all(features, labels, ridge=0.001)
    np.testing.assert_allclose(fitted.thresholds, expected, rtol=1e-4)


def test_score_is_at_most_1_exactly_where_a_class_is_within_its_threshold(
    generator: torch.Generator,
) -> None:
    features, labels = clusters(generator)
    x = (features + torch.randn(20, *features.shape, generator=generator)).flatten(0, 1)
    distances = distances_by_scipy(features, labels, x, 0.001)
    to_centers = distances_by_scipy(features, labels, features, 0.001)
    thresholds = [np.quantile(to_centers[labels == c, c], 0.975) for c in range(3)]
    # Equation (4) of the paper: the image belongs if D_c <= theta_c for any class c.
    belongs = [any(d <= t for d, t in zip(row, thresholds, strict=True)) for row in distances]
    score = fit_all(features, labels, ridge=0.001).score(x)
    assert (score <= 1).tolist() == belongs
    assert 360 < sum(belongs) < 3240  # of 3600: both verdicts are put to the test


@pytest.mark.parametrize("scale", [1e-3, 1e-2, 0.5, 30.0, 1e3])
def test_scores_do_not_change_when_all_features_are_scaled(
    generator: torch.Generator, scale: float
) -> None:
    features, labels = clusters(generator)
    x = 5 * torch.randn(40, 4, generator=generator)
    before, after = (fit_all(features * s, labels, ridge=0.001).score(x * s) for s in (1.0, scale))
    assert_close(after, before, rtol=1e-3, atol=0)


@pytest.mark.parametrize("scale", [1e-3, 1e-2, 0.5, 30.0, 1e3])
def test_dead_features_do_not_spoil_the_invariance_under_scaling(
    generator: torch.Generator, scale: float
) -> None:
    features, labels = clusters(generator)
    features[:, 2] = 0
    features[labels == 1, 3] = 0
    x = 5 * torch.randn(40, 4, generator=generator)
    before, after = (fit_all(features * s, labels, ridge=0.001).score(x * s) for s in (1.0, scale))
    assert_close(after, before, rtol=1e-3, atol=0)


def test_without_ridge_scores_do_not_change_under_an_affine_map(
    generator: torch.Generator,
) -> None:
    features, labels = clusters(generator)
    x = 5 * torch.randn(40, 4, generator=generator)
    matrix = torch.eye(4) + 0.3 * torch.randn(4, 4, generator=generator)
    shift = torch.tensor([3.0, -20.0, 0.5, 7.0])
    before = fit_all(features, labels).score(x)
    after = fit_all(features @ matrix + shift, labels).score(x @ matrix + shift)
    assert_close(after, before, rtol=1e-3, atol=0)


def test_renumbered_classes_give_the_same_scores_and_renumbered_distances(
    generator: torch.Generator,
) -> None:
    features, labels = clusters(generator)
    x = 5 * torch.randn(40, 4, generator=generator)
    new_label = torch.tensor([2, 0, 1])
    before = fit_all(features, labels, ridge=0.001)
    after = fit_all(features, new_label[labels], ridge=0.001)
    assert torch.equal(after.distances(x)[:, new_label], before.distances(x))
    assert torch.equal(after.score(x), before.score(x))


@pytest.mark.parametrize("chunk", [1, 7, 39, 40, 41])
def test_the_size_of_a_chunk_does_not_matter(generator: torch.Generator, chunk: int) -> None:
    features, labels = clusters(generator)
    x = 5 * torch.randn(40, 4, generator=generator)
    fitted = fit_all(features, labels)
    assert_close(fitted.distances(x, chunk=chunk), fitted.distances(x), rtol=1e-5, atol=1e-6)


def test_a_feature_dead_in_a_class_is_as_wide_there_as_the_ridge() -> None:
    # Class features (-1, 0), (1, 0): S = diag(2, 0), its mean variance 1. With a ridge of 0.01
    # it becomes diag(2.01, 0.01), so that (0, 3) lies 3 / 0.1 away.
    features = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    fitted = fit_all(features, torch.zeros(2, dtype=torch.int64), ridge=0.01)
    x = torch.tensor([[0.0, 3.0], [2.0, 0.0]])
    assert_close(fitted.distances(x), torch.tensor([[30.0], [2 / math.sqrt(2.01)]]))


def test_with_a_ridge_features_dead_in_one_or_all_classes_give_scipys_distances(
    generator: torch.Generator,
) -> None:
    features, labels = clusters(generator)
    features[:, 2] = 0
    features[labels == 1, 3] = 0
    x = 5 * torch.randn(40, 4, generator=generator)
    ours = fit_all(features, labels, ridge=0.001).distances(x)
    np.testing.assert_allclose(ours, distances_by_scipy(features, labels, x, 0.001), rtol=1e-4)


def test_without_ridge_a_feature_dead_in_one_class_is_refused_naming_that_class(
    generator: torch.Generator,
) -> None:
    features, labels = clusters(generator)
    features[labels == 1, 3] = 0
    with pytest.raises(InputError, match=r"class bee \(60 images, 4 features\).*ridge 0;"):
        fit_all(features, labels)


def test_without_ridge_fewer_images_than_features_are_refused(generator: torch.Generator) -> None:
    features, labels = clusters(generator, n=3, d=8)
    with pytest.raises(InputError, match=r"class ant \(3 images, 8 features\) has no inverse"):
        fit_all(features, labels)


def test_without_ridge_a_feature_that_is_the_sum_of_two_others_is_refused(
    generator: torch.Generator,
) -> None:
    for _ in range(20):  # on some of them rounding makes it a little less than zero
        features, labels = clusters(generator, d=3)
        features = torch.cat((features, features[:, :1] + features[:, 1:2]), dim=1)
        with pytest.raises(InputError, match="has no inverse"):
            fit_all(features, labels)


def test_with_a_ridge_fewer_images_than_features_give_scipys_distances(
    generator: torch.Generator,
) -> None:
    features, labels = clusters(generator, n=5, d=8)
    x = 5 * torch.randn(40, 8, generator=generator)
    ours = fit_all(features, labels, ridge=0.01).distances(x)
    np.testing.assert_allclose(ours, distances_by_scipy(features, labels, x, 0.01), rtol=1e-4)


@pytest.mark.parametrize("n", [0, 1])
def test_a_class_with_fewer_than_two_images_is_refused_by_name(
    generator: torch.Generator, n: int
) -> None:
    features, labels = clusters(generator)
    mask = (labels != 1) | (torch.arange(len(labels)) < 60 + n)
    with pytest.raises(InputError, match=rf"class bee has {n} training image\(s\)"):
        fit_all(features[mask], labels[mask], ridge=0.001)


def test_a_class_of_equal_images_is_refused_by_name(generator: torch.Generator) -> None:
    features, labels = clusters(generator)
    features[labels == 2] = features[labels == 2][0].clone()
    with pytest.raises(InputError, match="all 60 training images of class cat have the same"):
        fit_all(features, labels, ridge=0.001)


def test_a_class_whose_images_are_nearly_all_equal_is_refused_for_its_threshold_is_zero() -> None:
    features = torch.tensor([0.0] * 98 + [-1.0, 1.0])[:, None]
    with pytest.raises(InputError, match=r"97\.5% of the 100 .* threshold is 0"):
        fit_all(features, torch.zeros(100, dtype=torch.int64), ridge=0.001)
