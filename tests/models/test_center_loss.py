"""Center loss and the centers' own step, against numbers worked out by hand."""

import pytest
import torch
from pytorch_ood.loss import CenterLoss
from torch.testing import assert_close

from belong.models.center_loss import center_loss, moved_centers

CENTERS = torch.tensor([[0.0, 0.0], [10.0, 10.0], [-5.0, 3.0]])
FEATURES = torch.tensor([[2.0, 0.0], [4.0, 6.0], [12.0, 8.0]])
LABELS = torch.tensor([0, 0, 1])


def a_batch(
    generator: torch.Generator, n: int, d: int = 5, c: int = 3
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return features (n, d), labels (n,) and centers (c, d)."""
    features = torch.randn(n, d, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, c, (n,), generator=generator)
    centers = torch.randn(c, d, generator=generator, dtype=torch.float64)
    return features, labels, centers


def test_center_loss_of_features_one_unit_from_their_centers_is_one_half() -> None:
    directions = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.6, 0.8]])
    labels = torch.tensor([2, 0, 1])
    assert_close(center_loss(CENTERS[labels] + directions, labels, CENTERS), torch.tensor(0.5))


def test_center_loss_is_half_the_mean_squared_distance_to_the_own_center() -> None:
    # Squared distances 2² + 0², 4² + 6² and 2² + 2²: (4 + 52 + 8) / 3 / 2.
    assert_close(center_loss(FEATURES, LABELS, CENTERS), torch.tensor(64 / 6))


def test_center_loss_of_features_on_their_centers_is_zero() -> None:
    labels = torch.tensor([1, 2, 0, 1])
    assert center_loss(CENTERS[labels], labels, CENTERS).item() == 0


def test_center_loss_is_half_of_pytorch_oods_times_the_number_of_classes(
    generator: torch.Generator,
) -> None:
    features, labels, centers = a_batch(generator, n=20)
    # Theirs is the squared distance without the half, averaged over the batch and over the
    # c classes.
    theirs = CenterLoss(n_classes=3, n_dim=5).double()
    with torch.no_grad():
        theirs.centers.params.copy_(centers)
    expected = theirs(theirs.distance(features), labels).detach() * 3 / 2
    assert_close(center_loss(features, labels, centers), expected)


def test_gradient_of_the_center_loss_is_the_way_from_the_center_over_the_batch_size(
    generator: torch.Generator,
) -> None:
    features, labels, centers = a_batch(generator, n=7)
    features.requires_grad_()
    (gradient,) = torch.autograd.grad(center_loss(features, labels, centers), features)
    assert_close(gradient, (features.detach() - centers[labels]) / 7)


def test_center_loss_sends_no_gradient_to_the_centers(generator: torch.Generator) -> None:
    features, labels, centers = a_batch(generator, n=7)
    features.requires_grad_()
    centers.requires_grad_()
    center_loss(features, labels, centers).backward()
    assert centers.grad is None


def test_center_loss_of_a_batch_is_the_mean_of_its_halves(generator: torch.Generator) -> None:
    features, labels, centers = a_batch(generator, n=8)
    halves = [
        center_loss(features[half], labels[half], centers) for half in (slice(4), slice(4, 8))
    ]
    assert_close(center_loss(features, labels, centers), torch.stack(halves).mean())


def test_centers_move_as_equation_4_of_wen_et_al_says() -> None:
    new_centers = moved_centers(CENTERS, FEATURES, LABELS, rate=0.5)
    # Class 0: sum of (c - x) = (-6, -6), over 1 + 2 images: (-2, -2), half of it taken off.
    # Class 1: (-2, 2) over 1 + 1 image: (-1, 1), half of it taken off.
    assert_close(new_centers, torch.tensor([[1.0, 1.0], [10.5, 9.5], [-5.0, 3.0]]))


def test_centers_move_as_a_loop_over_classes_and_images_moves_them(
    generator: torch.Generator,
) -> None:
    features, labels, centers = a_batch(generator, n=30, c=4)
    expected = centers.clone()
    for j in range(4):
        members = [x for x, label in zip(features, labels.tolist(), strict=True) if label == j]
        delta = sum((centers[j] - x for x in members), torch.zeros(5)) / (1 + len(members))
        expected[j] -= 0.3 * delta
    assert_close(moved_centers(centers, features, labels, rate=0.3), expected)


def test_a_class_that_is_not_in_the_batch_keeps_its_center() -> None:
    new_centers = moved_centers(CENTERS, FEATURES, LABELS, rate=1.0)
    assert new_centers[2].tolist() == CENTERS[2].tolist()


def test_centers_stay_where_they_are_at_rate_zero() -> None:
    new_centers = moved_centers(CENTERS, FEATURES, LABELS, rate=0.0)
    assert new_centers.tolist() == CENTERS.tolist()


def test_the_centers_that_came_in_are_not_changed() -> None:
    centers = CENTERS.clone()
    moved_centers(centers, FEATURES, LABELS, rate=0.5)
    assert centers.tolist() == CENTERS.tolist()


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_a_single_image_draws_its_center_half_the_rate_of_the_way(rate: float) -> None:
    new_centers = moved_centers(
        torch.zeros(1, 1), torch.tensor([[8.0]]), torch.tensor([0]), rate=rate
    )
    assert_close(new_centers, torch.tensor([[rate * 8 / 2]]))
