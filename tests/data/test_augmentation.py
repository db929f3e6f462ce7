"""Moved and mirrored images: each value comes from where it should."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from belong.data.augmentation import augmented
from belong.runtime.errors import InputError


def numbered(n: int, *, channels: int = 2, height: int = 5, width: int = 6) -> Tensor:
    """Return n images whose values all differ."""
    values = torch.arange(n * channels * height * width)
    return values.reshape(n, channels, height, width)


def test_an_image_is_moved_by_at_most_so_much_and_filled_by_its_mirror_image(
    generator: torch.Generator,
) -> None:
    images = numbered(1).expand(200, -1, -1, -1)
    shifted = augmented(images, shift_px=2, flip=False, generator=generator)
    padded = functional.pad(images[0], [2, 2], padding_mode="reflect")
    crops = [padded[:, y : y + 5, x : x + 6].flatten() for y in range(5) for x in range(5)]
    places = (shifted.flatten(1)[:, None] == torch.stack(crops)).all(dim=2)
    assert places.any(dim=1).all()  # each one is a crop of torchvision's padded image
    assert places.any(dim=0).all()  # and each of the 25 crops is drawn


def test_about_half_of_the_images_are_mirrored_and_the_others_left(
    generator: torch.Generator,
) -> None:
    images = numbered(400)
    augmented_images = augmented(images, shift_px=0, flip=True, generator=generator)
    mirrored = (augmented_images == functional.horizontal_flip(images)).flatten(1).all(dim=1)
    same = (augmented_images == images).flatten(1).all(dim=1)
    assert (mirrored ^ same).all()
    assert 160 < mirrored.sum() < 240  # four standard deviations


def test_the_same_seed_moves_alike() -> None:
    one, two = (
        augmented(numbered(9), shift_px=3, flip=True, generator=torch.Generator().manual_seed(4))
        for _ in range(2)
    )
    assert torch.equal(one, two)


def test_a_move_by_the_whole_image_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(
        InputError, match=r"train.shift_px: expected less than 5, for images of 5x6 px, got 5"
    ):
        augmented(numbered(2), shift_px=5, flip=False, generator=generator)
