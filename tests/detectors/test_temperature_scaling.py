"""Temperature scaling of the logits: the fitted temperature, also with few images."""

import math

import pytest
import torch

from belong.detectors.score_parts import SPREAD
from belong.detectors.temperature_scaling import REACH, best_temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_it_finds_the_temperature_that_labels_were_drawn_at(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    true = 2 * torch.randn(20_000, 5, generator=generator)
    labels = torch.multinomial(true.softmax(dim=1), 1, generator=generator)[:, 0]
    for spread in (math.inf, SPREAD):
        best = best_temperature(temperature * true, labels, spread=spread)
        assert best == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("n", [2, 20, 200])
def test_images_that_are_all_classified_right_do_not_make_every_probability_1(n: int) -> None:
    logits = 3 * torch.eye(4).repeat(n, 1)
    labels = logits.argmax(dim=1)
    assert math.log(best_temperature(logits, labels)) < -0.5 * REACH
    best = best_temperature(logits, labels, spread=SPREAD)
    assert 0.2 < best < 1
    assert (logits / best).softmax(dim=1).max() < 0.9999


def test_images_that_are_all_classified_wrong_do_not_make_every_probability_equal() -> None:
    logits = 3 * torch.eye(4)
    assert 1 < best_temperature(logits, logits.argmin(dim=1), spread=SPREAD) < 10
