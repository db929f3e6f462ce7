"""Train the autoencoder of paper B, pixels - 50 units - pixels, on normal training images.

The units are sigmoid, as was usual at the time of the paper. The paper states neither loss nor
training, so mean squared error and Adam with a one-cycle schedule are our choice.
"""

import math
from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor, nn

from belong.models.base import Stored
from belong.models.checkpoint import Checkpoint
from belong.models.training_loop import Objective, Row, eager, train

AT_ONCE = 8  # photos downsampled at a time
LEAST_BRIGHTNESS = 1e-3  # an always black pixel would otherwise need a bias of minus infinity


class Autoencoder(Stored):
    """(n, ch, h, w) uint8 -> codes (n, units), squared error per pixel (n,).

    Images with more values than `pixels` are first downsampled by averaging.
    """

    def __init__(self, pixels: int, units: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(pixels, units)
        self.decoder = nn.Linear(units, pixels)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes and errors of one batch."""
        images = averaged_down(images, most_values=self.encoder.in_features)
        pixels = images.flatten(1).float() / 255
        codes = self.encoder(pixels).sigmoid()
        reconstruction = self.decoder(codes).sigmoid()
        return codes, (reconstruction - pixels).square().mean(dim=1)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Build the autoencoder from the result of `arrays()`."""
        units, pixels = arrays["encoder.weight"].shape
        return cls(pixels, units).loaded(arrays)


def averaged_down(images: Tensor, *, most_values: int) -> Tensor:
    """Average each image over the smallest squares of pixels with at most `most_values` results.

    Fifty units cannot reconstruct a photo, and two layers between all its pixels and these units
    would be larger than the classifier. (n, ch, h, w) uint8 -> (n, ch, h / k, w / k) uint8, sides
    rounded up, with smaller squares at the far edges. The values of all channels count.
    """
    _, channels, height, width = images.shape
    k = 1
    while channels * math.ceil(height / k) * math.ceil(width / k) > most_values:
        k += 1
    if k == 1:
        return images
    sides = (math.ceil(side / k) for side in images.shape[2:])
    averaged = images.new_empty((*images.shape[:2], *sides))
    # A few at a time, as float32 takes four times the memory.
    for part, target in zip(images.split(AT_ONCE), averaged.split(AT_ONCE), strict=True):
        target.copy_(F.avg_pool2d(part.float(), k, ceil_mode=True).round())
    return averaged


def fit(
    images: Tensor,
    *,
    units: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    most_side_px: int,
    generator: torch.Generator,
    checkpoint: Checkpoint | None = None,
    description: str | None = "train autoencoder",
) -> tuple[Autoencoder, list[Row]]:
    """Train an autoencoder; return it with one row per epoch.

    Images (n, ch, h, w) uint8 are on the device of the training; images with sides above
    `most_side_px` are downsampled. The hidden layer has `units` units, 50 in the paper. `generator`
    also draws the weights. Other arguments are those of `belong.models.training_loop.train`, with
    Adam.

    Raises:
        InputError: the loss is no longer finite.
    """
    n, channels, height, width = images.shape
    k = math.ceil(max(height, width) / most_side_px)
    values = channels * math.ceil(height / k) * math.ceil(width / k)
    images = averaged_down(images, most_values=values)  # small images
    autoencoder = Autoencoder(images[0].numel(), units)
    for layer in (autoencoder.encoder, autoencoder.decoder):
        # Glorot and Bengio 2010, with their factor 4 for sigmoid units in the encoder.
        gain = 4 if layer is autoencoder.encoder else 1
        nn.init.xavier_uniform_(layer.weight, gain=gain, generator=generator)
        nn.init.zeros_(layer.bias)
    # The decoder starts at the mean image; otherwise the units learn it first, and many get stuck.
    mean = images.flatten(1).sum(dim=0, dtype=torch.int64).cpu() / (255 * n)
    autoencoder.decoder.bias.data.copy_(mean.clamp(LEAST_BRIGHTNESS, 1 - LEAST_BRIGHTNESS).logit())
    autoencoder.to(images.device)

    def batch_errors(batch: Tensor) -> tuple[Tensor, Tensor]:
        _, errors = autoencoder(images.index_select(0, batch))  # images[batch] copies byte by byte
        return errors.mean(), errors.detach().sum()

    history = train(
        autoencoder,
        Objective(
            batch_errors,
            lambda total: {"reconstruction_error": total.item() / n},
            name="reconstruction error",
            remedy="autoencoder.learning_rate",
        ),
        eager(torch.optim.Adam)(autoencoder.parameters(), lr=learning_rate, fused=True),
        n=n,
        epochs=epochs,
        batch_size=batch_size,
        generator=generator,
        description=description,
        checkpoint=checkpoint,
    )
    return autoencoder, history
