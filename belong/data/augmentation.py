"""Augment training images by random shifts and flips."""

import torch
from torch import Tensor

from belong.runtime.errors import InputError


def augmented(images: Tensor, *, shift_px: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image at random, and mirror it with probability one half.

    Uncovered pixels are filled by reflection at the edge.

    Args:
        images: (n, ch, h, w).
        shift_px: largest shift in each of the four directions, at least 0 and below h and w.
        flip: whether images are mirrored horizontally with probability one half.
        generator: on the CPU; draws the shifts and flips.

    Returns:
        (n, ch, h, w).

    Raises:
        InputError: a shift is as large as the image.
    """
    n, _, height, width = images.shape
    if shift_px >= min(height, width):
        raise InputError(
            f"train.shift_px: expected less than {min(height, width)}, for images of "
            f"{height}x{width} px, got {shift_px}"
        )
    rows, columns = (torch.arange(side).expand(n, side) for side in (height, width))
    if shift_px:
        moves = torch.randint(-shift_px, shift_px + 1, (2, n, 1), generator=generator)
        rows = _mirrored_into(rows + moves[0], height)
        columns = _mirrored_into(columns + moves[1], width)
    if flip:
        turned = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(turned, columns.flip(1), columns)
    rows, columns = rows.to(images.device), columns.to(images.device)
    image_indices = torch.arange(n, device=images.device)[:, None, None]
    return images[image_indices, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _mirrored_into(places: Tensor, side: int) -> Tensor:
    """Reflect an index beyond an edge: -2 -> 2."""
    last = side - 1
    return last - (last - places.abs()).abs()
