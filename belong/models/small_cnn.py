"""Define a small convolutional network for photos, trained from scratch in minutes on two cores.

Four convolutions, each with batch normalization (Ioffe and Szegedy, 2015,
https://arxiv.org/abs/1502.03167) and ReLU. The first has a stride of 2; after each of the others,
max-pooling halves the maps:
64 x 64 pixels - 16 maps of 32 x 32 - 32 of 16 x 16 - 64 of 8 x 8 - 128 of 4 x 4 - their 128 means -
84 - c. The features are the 84 values after their ReLU.
"""

from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor, nn

from belong.models.base import FromScratch
from belong.runtime.errors import InputError

WIDTHS = (16, 32, 64, 128)  # number of maps of each stage
EARLY = 1  # index of the stage whose means are the early layer
FEATURES = 84
EPSILON = 1e-5  # added to the variance of a batch
# With smaller images, one position remains in the last stage, without variance in a batch of one.
LEAST_SIDE_PX = 32


class SmallCnn(FromScratch):
    """Classifier for photos."""

    batch = 64

    def __init__(self, *, classes: int, channels: int) -> None:
        super().__init__(channels=channels)
        self.shape = {"classes": classes, "channels": channels}
        first = nn.Conv2d(channels, WIDTHS[0], 5, stride=2, padding=2, bias=False)
        others = (
            nn.Conv2d(before, after, 3, padding=1, bias=False) for before, after in pairwise(WIDTHS)
        )
        self.convolutions = nn.ModuleList([first, *others])
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, eps=EPSILON) for width in WIDTHS)
        self.embedding = nn.Linear(WIDTHS[-1], FEATURES)
        self.classifier = nn.Linear(FEATURES, classes)
        self.to(memory_format=torch.channels_last)

    @classmethod
    def for_images(cls, images: Tensor, *, classes: int) -> Self:
        """Build the network for images (n, ch, h, w) of this size."""
        _, channels, height, width = images.shape
        if min(height, width) < LEAST_SIDE_PX:
            raise InputError(
                f"small_cnn: expected images of at least {LEAST_SIDE_PX} px, got {height}x{width}"
            )
        return cls(classes=classes, channels=channels)

    def layers(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return means of stage 1 (n, 32), of stage 3 (n, 128) and features (n, 84) of images.

        All are values after their ReLU.
        """
        x = self.standardized(inputs)
        means = []
        for stage, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            x = norm(convolution(x))
            # ReLU after the pooling gives the same values at a quarter of the positions.
            x = F.relu(F.max_pool2d(x, 2) if stage else x)
            means.append(x.mean(dim=(2, 3)))
        return means[EARLY], means[-1], F.relu(self.embedding(means[-1]))
