"""Define the views of an image: the activations that the detectors use."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Views:
    """The vectors of n images.

    Attributes:
        features: (n, d) last hidden layer of the classifier.
        logits: (n, c).
        hidden: (n, e) a middle layer.
        maps: (n, m) an early layer, averaged over (parts of) the image; see the network's
            `layers`.
        codes: (n, u) hidden layer of the autoencoder; u is 50 by default.
        reconstruction_error: (n,) mean squared error per pixel.
    """

    features: Tensor
    logits: Tensor
    hidden: Tensor
    maps: Tensor
    codes: Tensor
    reconstruction_error: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, indices: Tensor) -> Self:
        """Select the views of images; `indices` are indices, or a mask (n,)."""
        return type(self)(**{name: values[indices] for name, values in vars(self).items()})

    def arrays(self, part: str) -> dict[str, np.ndarray]:
        """Return the vectors by name, `PART/NAME`."""
        return {f"{part}/{name}": values.numpy() for name, values in vars(self).items()}

    @classmethod
    def names(cls, part: str) -> list[str]:
        """Return the names in the result of `arrays`."""
        return [f"{part}/{field.name}" for field in fields(cls)]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], part: str) -> Self:
        """Build the views from the result of `arrays(part)`."""
        return cls(*(torch.from_numpy(arrays[name]) for name in cls.names(part)))
