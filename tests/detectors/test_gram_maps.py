"""Gram matrices of the first maps: against the formula, and on weaker maps."""

import numpy as np
import pytest
import torch

from belong.detectors.base import scores_of
from belong.detectors.gram_maps import LEAST_END, MapsGram
from belong.models.activations import Views
from tests.detectors.test_detectors import all_views, training

POWERS = 4


def row_sums(maps: np.ndarray, power: int) -> np.ndarray:
    """Return eq. (2) of the paper for values (n, m) of one layer: (n, m)."""
    powers = maps**power
    gram = powers[:, :, None] * powers[:, None, :]
    sums = gram.sum(axis=2)
    return np.asarray(np.sign(sums) * np.abs(sums) ** (1 / power))


def test_the_score_is_the_papers_deviation_with_a_least_end() -> None:
    data = training()
    signed = data.views.maps - 1  # as a backbone has them, some below 0
    data, views = training(maps=signed), all_views()
    views.maps.sub_(1)
    expected = np.zeros(len(views))
    predicted = views.logits.argmax(dim=1).numpy()
    for power in range(1, POWERS + 1):
        training_sums, new = (
            row_sums(x.numpy().astype(np.float64), power) for x in (signed, views.maps)
        )
        for label in range(3):
            of_class, rows = training_sums[data.labels.numpy() == label], predicted == label
            low, high = of_class.min(axis=0), of_class.max(axis=0)
            least = LEAST_END * np.abs(high).mean()
            below = np.maximum(low - new[rows], 0) / np.maximum(np.abs(low), least)
            above = np.maximum(new[rows] - high, 0) / np.maximum(np.abs(high), least)
            expected[rows] += (below + above).sum(axis=1)
    scores = MapsGram.fit(data, powers=POWERS).score(views)
    np.testing.assert_allclose(scores, np.log1p(expected), rtol=1e-3, atol=1e-4)


def test_no_training_image_is_out_of_the_ranges_of_its_own_class() -> None:
    data = training()
    assert (MapsGram.fit(data, powers=POWERS).score(data.views) == 0).all()


def test_maps_that_are_all_weaker_are_noticed() -> None:
    data = training()
    weaker = training(maps=0.02 * data.views.maps)
    assert (MapsGram.fit(data, powers=POWERS).score(weaker.views) > 0.5).all()


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_the_unit_of_the_maps_does_not_matter(scale: float) -> None:
    views = all_views()
    scores = MapsGram.fit(training(), powers=10).score(views)
    scaled = training(maps=scale * training().views.maps)
    views.maps.mul_(scale)
    torch.testing.assert_close(
        MapsGram.fit(scaled, powers=10).score(views), scores, rtol=1e-3, atol=1e-3
    )


def test_the_score_goes_by_no_other_image_to_the_last_bit() -> None:
    rng = torch.Generator().manual_seed(0)
    maps = torch.rand(7000, 5, generator=rng)
    fitted = MapsGram.fit(training(maps=maps[:150]), powers=10)
    labels = torch.randint(3, (7000,), generator=rng)
    empty = torch.empty(7000, 0)
    logits = torch.nn.functional.one_hot(labels, 3).float()
    views = Views(empty, logits, empty, 1.2 * maps, empty, torch.empty(7000))
    order = torch.randperm(7000, generator=rng)
    whole = scores_of({"gram_maps": fitted}, views)["gram_maps"]
    reordered = scores_of({"gram_maps": fitted}, views.rows(order))["gram_maps"]
    assert (whole > 0).mean() > 0.5
    np.testing.assert_array_equal(reordered, whole[order])
