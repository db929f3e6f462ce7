"""Define the interface of a network: features and logits of an image, and two earlier layers.

`Stored` converts a module to arrays and back. `Network` is a classifier, and `FromScratch` is a
classifier for images. `belong.models.registry` explains how to add a network.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from belong.models.backbones.card import BackboneCard


class Stored(nn.Module):
    """A module that exports and imports its weights and buffers by name."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every weight and buffer, by name, on the CPU."""
        return {name: x.detach().cpu().numpy() for name, x in self.state_dict().items()}

    def loaded(self, arrays: Mapping[str, np.ndarray]) -> Self:
        """Load the result of `arrays()` of a module of the same shape; return the module."""
        self.load_state_dict({name: torch.from_numpy(x) for name, x in arrays.items()})
        return self


class Network(Stored, ABC):
    """A classifier of c classes on d features.

    The inputs are images (n, ch, h, w) uint8, which the network standardizes; or, above a frozen
    backbone, embeddings (n, v) float32.

    Attributes:
        shape: the keywords for building the network, as JSON values.
        classifier: the last layer, features (n, d) -> logits (n, c).
        batch: images per forward pass at inference; smaller batches are padded to it. Larger ones
            exceed the processor's cache and are slower; a single image also takes longer.
    """

    shape: dict[str, int]
    classifier: nn.Linear
    batch: ClassVar[int]

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        shape: Mapping[str, Any],
        card: BackboneCard | None = None,  # noqa: ARG003  (of networks with one)
    ) -> Self:
        """Build the network from the results of `arrays()` and `shape`; `card`: of its backbone."""
        return cls(**shape).loaded(arrays)

    @abstractmethod
    def initialize(self, inputs: Tensor, generator: torch.Generator) -> None:
        """Initialize the weights and the standardization of the training inputs."""

    @abstractmethod
    def layers(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return an early layer (n, m), a middle layer (n, e) and the features (n, d)."""

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, d) and logits (n, c)."""
        *_, features = self.layers(inputs)
        return features, self.classifier(features)


class FromScratch(Network):
    """A network without pretrained weights, for images (n, ch, h, w) uint8.

    Attributes:
        mean, std: (ch,) of the training pixels, in 0..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    @classmethod
    @abstractmethod
    def for_images(cls, images: Tensor, *, classes: int) -> Self:
        """Build the network for images (n, ch, h, w) of this size.

        Raises:
            InputError: the images are too small.
        """

    def initialize(self, inputs: Tensor, generator: torch.Generator) -> None:
        """Draw the weights with torch's default initialization, and measure the pixels."""
        draw_weights(self, generator)
        mean, std = pixel_moments(inputs)
        self.mean.copy_(mean)
        self.std.copy_(std)

    def standardized(self, images: Tensor) -> Tensor:
        """Standardize images (n, ch, h, w) uint8 to float, with channels last in memory."""
        x = images.to(self.mean.dtype).div_(255)
        x = (x - self.mean[:, None, None]) / self.std[:, None, None]
        return x.contiguous(memory_format=torch.channels_last)


def draw_weights(layers: nn.Module, generator: torch.Generator) -> None:
    """Draw weights and biases of all convolutions and linear layers, as torch does by default.

    They are uniform within 1 / sqrt(inputs of a unit).
    """
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = layer.weight[0].numel() ** -0.5
            for values in layer.parameters():
                nn.init.uniform_(values, -bound, bound, generator=generator)


def pixel_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the exact mean and standard deviation (ch,) of uint8 images, from their histogram."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        weights = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = (weights * levels).sum()
        means.append(mean)
        # NumPy's square root, as MKL's depends on the maker of the processor. A constant channel
        # has no spread, and is not scaled.
        stds.append(math.sqrt((weights * (levels - mean).square()).sum()) or 1.0)
    return torch.stack(means).float(), torch.tensor(stds)
