"""Augment training images by random shifts and flips."""

import torch
from torch import Tensor

from belong.runtime.errors import InputError


def augmented(images: Tensor, *, shift_px: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Move each image, and mirror every other one, at random.

    What a move uncovers is filled with the mirror image of what lies at that edge.

    Args:
        images: (n, ch, h, w).
        shift_px: the furthest move in each of the four directions, 0 to less than h and w.
        flip: whether an image is mirrored, left for right, with probability one half.
        generator: on the CPU; draws the moves and the mirrors, if there are any.

    Returns:
        (n, ch, h, w).

    Raises:
        InputError: a move would leave nothing of the image.
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
    which = torch.arange(n, device=images.device)[:, None, None]
    return images[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _mirrored_into(places: Tensor, side: int) -> Tensor:
    """Bring a place beyond an edge back by as much as it lies beyond it: -2 -> 2."""
    last = side - 1
    return last - (last - places.abs()).abs()
