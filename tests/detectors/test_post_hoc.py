"""The detectors on a classifier's output, against pytorch-ood, scipy and numpy."""

import numpy as np
import pytest
import torch
from pytorch_ood.detector import GEN, KNN, RMD, EnergyBased, Mahalanobis, MaxLogit, MaxSoftmax, ViM
from scipy.special import log_softmax, logsumexp
from torch import Tensor

from belong.detectors.base import Training
from belong.detectors.energy import Energy
from belong.detectors.feature_knn import FeatureNeighbors
from belong.detectors.gen import GeneralizedEntropy
from belong.detectors.mahalanobis_tied import TiedMahalanobis
from belong.detectors.max_logit import MaximumLogit
from belong.detectors.msp import MaximumSoftmaxProbability
from belong.detectors.relative_mahalanobis import RelativeMahalanobis
from belong.detectors.vim import VirtualLogit
from belong.models.activations import Views

N, D, C = 180, 6, 3


def views_of(features: Tensor, logits: Tensor) -> Views:
    """Return views with nothing but features and logits in them."""
    nothing = torch.empty(len(features), 0)
    return Views(features, logits, nothing, nothing, nothing, nothing)


@pytest.fixture
def training(generator: torch.Generator) -> Training:
    """Three classes that differ in place and share their shape, and a last layer."""
    labels = torch.arange(C).repeat_interleave(N // C)
    centers = 4 * torch.randn(C, D, generator=generator)
    shape = torch.eye(D) + 0.5 * torch.randn(D, D, generator=generator)
    features = centers[labels] + torch.randn(N, D, generator=generator) @ shape
    weight, bias = torch.randn(C, D, generator=generator), torch.randn(C, generator=generator)
    views = views_of(features, features @ weight.T + bias)
    return Training(views, labels, ["ant", "bee", "cat"], weight, bias)


@pytest.fixture
def new_views(training: Training, generator: torch.Generator) -> Views:
    """Images near to and far from the classes."""
    features = 5 * torch.randn(100, D, generator=generator)
    return views_of(features, features @ training.weight.T + training.bias)


def squared_distances_by_numpy(
    x: np.ndarray, centers: np.ndarray, centered: np.ndarray, ridge: float
) -> np.ndarray:
    """Return the squared distances of x (m, d) to c centers, covariance of `centered`: (m, c)."""
    covariance = centered.T @ centered / len(centered)
    d = len(covariance)
    inverse = np.linalg.inv(covariance + ridge * np.trace(covariance) / d * np.eye(d))
    away = x[:, None] - centers
    return np.asarray(np.einsum("mcd,de,mce->mc", away, inverse, away))


def both_distances_by_numpy(
    training: Training, x: Tensor, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared distances to the classes (m, c), and to all images (m, 1)."""
    features, labels = training.views.features.double().numpy(), training.labels.numpy()
    means = np.stack([features[labels == label].mean(axis=0) for label in range(C)])
    mean, queries = features.mean(axis=0), x.double().numpy()
    return (
        squared_distances_by_numpy(queries, means, features - means[labels], ridge),
        squared_distances_by_numpy(queries, mean[None], features - mean, ridge),
    )


def test_msp_is_minus_the_logarithm_of_minus_pytorch_oods(
    training: Training, new_views: Views
) -> None:
    theirs = MaxSoftmax(None).predict_logits(new_views.logits.double())
    ours = MaximumSoftmaxProbability.fit(training).score(new_views)
    np.testing.assert_allclose(ours, -(-theirs).log(), rtol=1e-4, atol=1e-7)


def test_msp_is_minus_the_largest_of_scipys_log_softmax(
    training: Training, new_views: Views
) -> None:
    expected = -log_softmax(new_views.logits.double().numpy(), axis=1).max(axis=1)
    ours = MaximumSoftmaxProbability.fit(training).score(new_views)
    # Where the largest is nearly 1, scipy's own logarithm loses digits.
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-14)


def test_msp_tells_images_apart_whose_probability_rounds_to_1(training: Training) -> None:
    logits = torch.zeros(60, C)
    logits[:, 1] = torch.arange(20.0, 80.0)
    assert (logits.softmax(dim=1).amax(dim=1) == 1).all()
    scores = MaximumSoftmaxProbability.fit(training).score(views_of(logits, logits))
    assert (scores.diff() < 0).all()  # the larger the logit, the less anomalous


def test_max_logit_is_pytorch_oods(training: Training, new_views: Views) -> None:
    theirs = MaxLogit(None).predict_logits(new_views.logits)
    np.testing.assert_array_equal(MaximumLogit.fit(training).score(new_views), theirs)


def test_energy_is_pytorch_oods(training: Training, new_views: Views) -> None:
    theirs = EnergyBased(None).predict_logits(new_views.logits)
    np.testing.assert_allclose(Energy.fit(training).score(new_views), theirs, rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_energy_is_minus_scipys_logsumexp(
    training: Training, new_views: Views, scale: float
) -> None:
    logits = new_views.logits * scale
    expected = -logsumexp(logits.double().numpy(), axis=1)
    ours = Energy.fit(training).score(views_of(new_views.features, logits))
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_energy_of_equal_logits_is_minus_their_value_less_the_logarithm_of_their_number(
    training: Training,
) -> None:
    logits = torch.full((1, 4), 2.0)
    score = Energy.fit(training).score(views_of(logits, logits))
    np.testing.assert_allclose(score, [-2 - np.log(4)], rtol=1e-6)


@pytest.mark.parametrize(("gamma", "top"), [(0.1, 100), (0.1, 2), (0.5, 1)])
def test_gen_is_pytorch_oods_times_the_number_of_terms(
    training: Training, new_views: Views, gamma: float, top: int
) -> None:
    logits = new_views.logits / 20  # theirs takes no probability below 1e-7
    theirs = GEN(None, gamma=gamma, M=min(top, C)).predict_logits(logits.double())
    fitted = GeneralizedEntropy.fit(training, gamma=gamma, top=top)
    ours = fitted.score(views_of(new_views.features, logits))
    np.testing.assert_allclose(ours, theirs * min(top, C), rtol=1e-5)


def test_gen_by_hand(training: Training) -> None:
    # Probabilities 1/2, 1/4, 1/4: sqrt(1/4) = 1/2 of the first, sqrt(3/16) of the others.
    logits = torch.tensor([[0.0, np.log(2), 0.0]])
    two, all_ = (
        GeneralizedEntropy.fit(training, gamma=0.5, top=top).score(views_of(logits, logits))
        for top in (2, 9)
    )
    np.testing.assert_allclose(two, [0.5 + 3**0.5 / 4], rtol=1e-6)
    np.testing.assert_allclose(all_, [0.5 + 3**0.5 / 2], rtol=1e-6)


def test_gen_of_one_probability_keeps_what_is_missing_to_1(training: Training) -> None:
    # Beside exp(z) and two of 1, the largest lacks 2 / (exp(z) + 2) to 1: also where it rounds.
    logits = torch.tensor([[z, 0.0, 0.0] for z in (5.0, 40.0, 80.0)])
    score = GeneralizedEntropy.fit(training, gamma=0.1, top=1).score(views_of(logits, logits))
    whole = np.exp([5.0, 40.0, 80.0])
    np.testing.assert_allclose(score, (whole * 2 / (whole + 2) ** 2) ** 0.1, rtol=1e-6)


@pytest.mark.parametrize("principal", [1, 3, 5])
def test_vim_is_pytorch_oods(training: Training, new_views: Views, principal: int) -> None:
    theirs = ViM(None, principal, training.weight, training.bias)
    theirs.fit_features(training.views.features, training.labels)
    ours = VirtualLogit.fit(training, principal=principal).score(new_views)
    expected = theirs.predict_features(new_views.features)
    # Theirs is in float32 throughout.
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)


def test_tied_mahalanobis_is_twice_pytorch_oods_times_n(
    training: Training, new_views: Views
) -> None:
    # Theirs is half the square, and its covariance the sum of the outer products, not divided
    # by n. Its ridge of 1e-6 is too small to be seen. Its means are in float32.
    theirs = Mahalanobis(None).fit_features(training.views.features, training.labels)
    ours = TiedMahalanobis.fit(training, ridge=0.0).score(new_views)
    expected = 2 * N * theirs.predict_features(new_views.features)
    np.testing.assert_allclose(ours, expected, rtol=1e-3)


@pytest.mark.parametrize("ridge", [0.0, 0.001, 0.5])
def test_tied_mahalanobis_is_the_smallest_squared_distance_of_numpy(
    training: Training, new_views: Views, ridge: float
) -> None:
    classes, _ = both_distances_by_numpy(training, new_views.features, ridge)
    ours = TiedMahalanobis.fit(training, ridge=ridge).score(new_views)
    np.testing.assert_allclose(ours, classes.min(axis=1), rtol=1e-4)


@pytest.mark.parametrize("apart", [10.0, 100.0, 1000.0])
def test_tied_mahalanobis_keeps_its_digits_however_far_the_classes_lie_apart(
    training: Training, apart: float
) -> None:
    # The score of an image next to a center is a small difference of what may be large.
    features = training.views.features.clone()
    features += apart * torch.eye(C, D)[training.labels]
    far_training = Training(
        views_of(features, training.views.logits),
        training.labels,
        training.class_names,
        training.weight,
        training.bias,
    )
    classes, _ = both_distances_by_numpy(far_training, features, 0.001)
    ours = TiedMahalanobis.fit(far_training, ridge=0.001).score(far_training.views)
    np.testing.assert_allclose(ours, classes.min(axis=1), rtol=1e-2)


def test_relative_mahalanobis_is_pytorch_oods_times_n(training: Training, new_views: Views) -> None:
    # Neither covariance is divided by n in theirs.
    theirs = RMD(None).fit_features(training.views.features, training.labels)
    ours = RelativeMahalanobis.fit(training, ridge=0.0).score(new_views)
    expected = N * theirs.predict_features(new_views.features)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("ridge", [0.0, 0.001, 0.5])
def test_relative_mahalanobis_is_the_difference_of_numpys_squared_distances(
    training: Training, new_views: Views, ridge: float
) -> None:
    classes, whole = both_distances_by_numpy(training, new_views.features, ridge)
    ours = RelativeMahalanobis.fit(training, ridge=ridge).score(new_views)
    np.testing.assert_allclose(ours, (classes - whole).min(axis=1), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("k", [1, 5, N])
def test_feature_knn_is_pytorch_oods(training: Training, new_views: Views, k: int) -> None:
    theirs = KNN(None, k=k).fit_features(training.views.features.double(), training.labels)
    ours = FeatureNeighbors.fit(training, k=k).score(new_views)
    expected = theirs.predict_features(new_views.features.double())
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_feature_knn_does_not_see_how_long_a_vector_is(
    training: Training, new_views: Views
) -> None:
    fitted = FeatureNeighbors.fit(training, k=5)
    longer = views_of(1024 * new_views.features, new_views.logits)
    np.testing.assert_allclose(fitted.score(longer), fitted.score(new_views), rtol=1e-5)
