"""The contract that every detector of the registry keeps."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from belong.artefacts import load_arrays, save_arrays
from belong.detectors import mahalanobis, supervised_head
from belong.detectors.registry import DETECTORS, Detector

Score = Callable[[Tensor], Tensor]

# Three classes of 50 images, 6 features; two features are dead, as after a ReLU they often are.
N, D, CLASSES = 50, 6, ("ant", "bee", "cat")


def training_features() -> tuple[Tensor, Tensor]:
    """Return features (150, 6), as a ReLU leaves them, and labels (150,)."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(CLASSES)).repeat_interleave(N)
    centers = 4 * torch.rand(len(CLASSES), D, generator=generator)
    features = (centers[labels] + torch.randn(len(labels), D, generator=generator)).relu()
    features[:, 5] = 0
    features[labels == 1, 4] = 0
    return features, labels


def far_away_features() -> Tensor:
    """Return features (80, 6) far from every class; the supervised head learns from them."""
    generator = torch.Generator().manual_seed(1)
    features = 25 + torch.randn(80, D, generator=generator)
    features[:, 5] = 0  # dead on all images
    return features


def fit_gaussians() -> mahalanobis.ClassGaussians:
    return mahalanobis.fit(*training_features(), list(CLASSES), quantile=0.975, ridge=0.001)


def fit_head() -> supervised_head.SupervisedHead:
    head, _ = supervised_head.fit(
        training_features()[0],
        far_away_features(),
        epochs=10,
        batch_size=32,
        learning_rate=0.003,
        generator=torch.Generator().manual_seed(0),
    )
    return head


# What `Detector.fitted` names. A new artefact wants its line here.
FITS: Mapping[str, Callable[[], Any]] = {"mahalanobis": fit_gaussians, "head": fit_head}


@pytest.fixture(scope="module")
def artefacts() -> dict[str, Any]:
    return {name: fit() for name, fit in FITS.items()}


@pytest.fixture(params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> Detector:
    return DETECTORS[request.param]


@pytest.fixture
def fitted(detector: Detector, artefacts: dict[str, Any]) -> Any:
    return artefacts[detector.fitted]


@pytest.fixture
def score(detector: Detector, fitted: Any) -> Score:
    return lambda features: detector.score(fitted, features)


@pytest.mark.parametrize("n", [0, 1, 2, 150])
def test_n_images_get_n_finite_float32_scores(score: Score, n: int) -> None:
    scores = score(training_features()[0][:n])
    assert scores.shape == (n,)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()


def test_every_far_away_image_scores_higher_than_every_training_image(score: Score) -> None:
    assert score(far_away_features()).min() > score(training_features()[0]).max()


@pytest.mark.parametrize(
    "detector",
    [name for name, one in DETECTORS.items() if one.threshold is not None],
    indirect=True,
)
def test_at_the_papers_threshold_far_away_images_do_not_belong_and_most_training_images_do(
    detector: Detector, score: Score
) -> None:
    assert detector.threshold is not None
    assert (score(far_away_features()) > detector.threshold).all()
    # The paper's 97.5 % per class; an image may lie within another class's threshold as well.
    assert (score(training_features()[0]) <= detector.threshold).float().mean() >= 0.96


def test_images_scored_one_by_one_score_as_in_a_batch(score: Score) -> None:
    features = torch.cat((training_features()[0], far_away_features()))
    one_by_one = torch.cat([score(row) for row in features.split(1)])
    assert_close(one_by_one, score(features), rtol=1e-4, atol=1e-5)


def test_shuffled_images_get_their_scores_in_the_new_order(score: Score) -> None:
    features = torch.cat((training_features()[0], far_away_features()))
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(2))
    assert_close(score(features[order]), score(features)[order], rtol=1e-4, atol=1e-5)


def test_scoring_twice_gives_the_same_bits(score: Score) -> None:
    features = training_features()[0]
    assert torch.equal(score(features), score(features))


def test_fitting_twice_gives_the_same_bits(detector: Detector, fitted: Any) -> None:
    again = FITS[detector.fitted]()
    first, second = fitted.arrays(), again.arrays()
    assert {name: x.tobytes() for name, x in first.items()} == {
        name: x.tobytes() for name, x in second.items()
    }


def test_a_detector_that_was_saved_and_loaded_gives_the_same_scores(
    detector: Detector, fitted: Any, score: Score, tmp_path: Path
) -> None:
    save_arrays(tmp_path / "fitted.safetensors", fitted.arrays())
    loaded = detector.load(load_arrays(tmp_path / "fitted.safetensors"))
    features = torch.cat((training_features()[0], far_away_features()))
    assert torch.equal(detector.score(loaded, features), score(features))


def test_scoring_does_not_change_the_features(score: Score) -> None:
    features = training_features()[0]
    score(features)
    assert torch.equal(features, training_features()[0])


def test_scoring_does_not_change_what_was_fitted(fitted: Any, score: Score) -> None:
    before = {name: x.tobytes() for name, x in fitted.arrays().items()}
    score(far_away_features())
    assert {name: x.tobytes() for name, x in fitted.arrays().items()} == before


def test_scores_carry_no_gradient(score: Score) -> None:
    assert not score(training_features()[0]).requires_grad
