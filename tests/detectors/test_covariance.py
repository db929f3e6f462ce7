"""Covariances with few images, against scikit-learn, and their valid inputs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from torch import Tensor

from belong.detectors.covariance import choose, whitenings
from belong.detectors.mahalanobis import ClassGaussians, fit
from belong.evaluation.acceptance_study import acceptance
from belong.runtime.storage import load_arrays, save_arrays

NAMES = ["ant", "bee"]


def two_classes(n: int, d: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return features (2 n, d), of which some depend on each other, and labels."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.eye(d) + 0.3 * torch.randn(d, d, generator=torch.Generator().manual_seed(9))
    labels = torch.arange(2).repeat_interleave(n)
    noise = torch.randn(2 * n, d, generator=generator) @ mix
    return noise + 20 * labels[:, None], labels


def centered(n: int, d: int) -> list[Tensor]:
    features, labels = two_classes(n, d)
    classes = [features[labels == label].double() for label in (0, 1)]
    return [x - x.mean(dim=0) for x in classes]


def lengths(x: Tensor, root: Tensor) -> np.ndarray:
    return np.asarray(torch.linalg.vector_norm(x @ root, dim=1))


@pytest.mark.parametrize("n", [5, 12, 80])
def test_shrunk_distances_are_those_of_scikit_learn(n: int) -> None:
    classes = centered(n, 12)
    for x, root in zip(
        classes, whitenings(classes, NAMES, covariance="shrunk", ridge=0.0), strict=True
    ):
        squared = LedoitWolf(assume_centered=True).fit(x).mahalanobis(x)
        np.testing.assert_allclose(lengths(x, root) ** 2, squared, rtol=1e-8)


def test_tied_distances_are_those_of_scikit_learn_on_all_classes_about_their_means() -> None:
    classes = centered(7, 12)
    theirs = LedoitWolf(assume_centered=True).fit(torch.cat(classes))
    (root,) = whitenings(classes, NAMES, covariance="tied", ridge=0.0)
    for x in classes:
        np.testing.assert_allclose(lengths(x, root) ** 2, theirs.mahalanobis(x), rtol=1e-8)


def test_pca_distances_are_those_on_a_tenth_as_many_components_as_a_class_has_images() -> None:
    classes = centered(45, 12)
    pca = PCA(4, svd_solver="full").fit(torch.cat(classes))
    for x, root in zip(
        classes, whitenings(classes, NAMES, covariance="pca", ridge=0.0), strict=True
    ):
        projections = x.numpy() @ pca.components_.T
        inverse = np.linalg.inv(projections.T @ projections / (len(projections) - 1))
        squared = np.einsum("ni,ij,nj->n", projections, inverse, projections)
        np.testing.assert_allclose(lengths(x, root) ** 2, squared, rtol=1e-8)
        assert root.shape == (12, 4)


@pytest.mark.parametrize(
    ("n", "d", "kind"),
    [(420, 84, "per_class"), (419, 84, "shrunk"), (84, 84, "shrunk"), (83, 84, "tied")],
)
def test_auto_goes_by_the_images_for_each_feature(n: int, d: int, kind: str) -> None:
    choice, why = choose("auto", n, d)
    assert choice == kind
    assert f"{n} images of the smallest class for {d} features" in why


@pytest.mark.parametrize("kind", ["per_class", "shrunk", "tied", "pca"])
def test_the_requested_kind_is_used(kind: str) -> None:
    assert choose(kind, 3, 1000)[0] == kind


def test_auto_fits_what_it_says() -> None:
    features, labels = two_classes(30, 12)
    fitted = {
        kind: fit(features, labels, NAMES, quantile=0.975, ridge=0.0, covariance=kind)
        for kind in ("auto", "shrunk", "tied")
    }
    assert torch.equal(fitted["auto"].whitening, fitted["shrunk"].whitening)
    assert not torch.allclose(fitted["auto"].whitening, fitted["tied"].whitening)


def test_fresh_images_are_accepted_as_promised_where_the_papers_recipe_rejects_a_third() -> None:
    """500 images of a class in 84 dimensions: the second case of the design's trials."""
    training, calibration = two_classes(500, 84), two_classes(100, 84, seed=1)
    test, _ = two_classes(1000, 84, seed=2)
    table = acceptance(
        training,
        calibration,
        test,
        NAMES,
        ratios=[500 / 84, 100.0],
        draws=1,
        quantile=0.975,
        ridge=0.0,
        alpha=0.025,
        rng=np.random.default_rng(0),
    )
    assert set(table["images_per_class"]) == {500}  # there are not 8,400
    accepted = table.set_index("recipe")["accepted"]
    assert accepted["paper"] == pytest.approx(0.65, abs=0.05)
    assert accepted["auto, calibrated"] == pytest.approx(0.975, abs=0.02)


def test_with_as_few_images_as_features_the_papers_recipe_accepts_none() -> None:
    training, calibration = two_classes(66, 64), two_classes(100, 64, seed=1)
    test, _ = two_classes(500, 64, seed=2)
    table = acceptance(
        training,
        calibration,
        test,
        NAMES,
        ratios=[66 / 64],
        draws=1,
        quantile=0.975,
        ridge=0.0,
        alpha=0.025,
        rng=np.random.default_rng(0),
    )
    accepted = table.set_index("recipe")["accepted"]
    assert accepted["paper"] == 0
    assert accepted["auto, calibrated"] >= 0.93


def test_one_covariance_for_all_classes_is_kept_once_and_read_back(tmp_path: Path) -> None:
    features, labels = two_classes(30, 12)
    fitted = fit(features, labels, NAMES, quantile=0.975, ridge=0.0, covariance="tied")
    assert fitted.whitening.shape == (1, 12, 12)
    save_arrays(tmp_path / "gaussians", fitted.arrays())
    loaded = ClassGaussians.from_arrays(load_arrays(tmp_path / "gaussians"))
    assert torch.equal(loaded.score(features), fitted.score(features))


def test_the_study_is_empty_if_every_ratio_needs_more_images() -> None:
    training, test = two_classes(30, 12), two_classes(30, 12, seed=1)[0]
    table = acceptance(
        training,
        training,
        test,
        NAMES,
        ratios=[5.0],
        draws=1,
        quantile=0.975,
        ridge=0.0,
        alpha=0.025,
        rng=np.random.default_rng(0),
    )
    assert (len(table), "accepted" in table) == (0, True)


def test_where_too_few_images_calibrate_the_study_leaves_out_our_recipe() -> None:
    training, test = two_classes(30, 12), two_classes(30, 12, seed=1)[0]
    few = training[0][:20], training[1][:20]
    table = acceptance(
        training,
        few,
        test,
        NAMES,
        ratios=[2.0],
        draws=1,
        quantile=0.975,
        ridge=0.0,
        alpha=0.025,
        rng=np.random.default_rng(0),
    )
    assert set(table["recipe"]) == {"paper", "auto"}
