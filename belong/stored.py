"""Modules whose weights travel as plain arrays, so that no file holds code."""

from typing import Self

import numpy as np
import torch
from torch import nn


class Stored(nn.Module):
    """A module that gives its weights and buffers away by name, and takes them back."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every weight and buffer, by name, on the CPU."""
        return {name: x.detach().cpu().numpy() for name, x in self.state_dict().items()}

    def loaded(self, arrays: dict[str, np.ndarray]) -> Self:
        """Take over what `arrays()` of a module of the same shape gave; return the module."""
        self.load_state_dict({name: torch.from_numpy(x) for name, x in arrays.items()})
        return self
