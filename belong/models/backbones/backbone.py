"""Wrap a network without its classifier, which maps each image to one vector.

The networks are those of timm (Wightman, PyTorch Image Models, https://github.com/huggingface/
pytorch-image-models), or the user's module.
"""

import copy
import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from belong.models.backbones.card import OWN_MODULE, BackboneCard, card_in
from belong.models.base import Stored
from belong.models.inference import check_dtype
from belong.runtime.errors import InputError
from belong.runtime.storage import load_arrays

# EfficientNet halves the side five times; below 33 px one pixel remains, which has no variance.
LEAST_SIDE_PX = 33


class Backbone(Stored):
    """A network without its classifier; the arrays have timm's names.

    It maps each image to one vector, the embedding: the channels of an early and of a middle stage,
    averaged over the image, and the inputs of the removed classifier. Averages are used as in Lee
    et al. (2018, https://arxiv.org/abs/1807.03888), as a Gaussian per class on whole maps would
    need too many images. In EfficientNet-B0 and Lite0 these are 24 channels at a quarter of the
    image's side (edges and colors), 112 at a sixteenth (parts of objects), and 1280.

    Attributes:
        card: description of the network.
        trunk: the network.
        dtype: type of the weights.
    """

    pixel_mean: Tensor
    pixel_std: Tensor
    trunk: Any  # a module with timm's methods, which have no types

    def __init__(self, card: BackboneCard, trunk: nn.Module | None = None) -> None:
        """Build the network with random weights, or use the module `trunk`."""
        super().__init__()
        self.card = card
        self.trunk = draw_trunk(card.architecture) if trunk is None else trunk
        self.dtype = torch.float32
        for name, values in (("pixel_mean", card.mean), ("pixel_std", card.std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.to(memory_format=torch.channels_last)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every weight and buffer of the trunk, by timm's names, on the CPU."""
        return {name: x.detach().cpu().numpy() for name, x in self.trunk.state_dict().items()}

    def loaded(self, arrays: Mapping[str, np.ndarray]) -> Self:
        """Load the result of `arrays()`; return the backbone."""
        self.trunk.load_state_dict({name: torch.from_numpy(x) for name, x in arrays.items()})
        return self

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the card and of all arrays, at the time of its first use."""
        total = hashlib.sha256(self.card.model_dump_json().encode())
        for name, array in sorted(self.arrays().items()):
            total.update(f"{name} {array.shape} {array.dtype}".encode())
            total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], card: BackboneCard) -> Self:
        """Build the backbone from the result of `arrays()`.

        Raises:
            InputError: the backbone is the user's module, which arrays cannot rebuild.
        """
        if card.architecture == OWN_MODULE:
            raise InputError(
                f"the backbone {card.name} is a torch module of your own: expected "
                f"load_model(folder, backbone=module)"
            )
        return cls(card).loaded(arrays)

    def redraw(self, seed: int) -> None:
        """Draw all weights again, with timm's initialization."""
        self.trunk.load_state_dict(draw_trunk(self.card.architecture, seed).state_dict())

    def vectors(self, images: Tensor) -> Tensor:
        """Embed images (n, ch, h, w) uint8, ch 1 or 3: (n, v) float32, v the sum of `card.sizes`.

        On a GPU, operations that torch's autocast selects are computed in bfloat16.
        """
        x = (images.float() / 255 - self.pixel_mean) / self.pixel_std  # gray becomes 3 channels
        x = x.to(self.dtype, memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16, enabled=images.is_cuda):
            stages = self.stages(x)
        return torch.cat([stage.float() for stage in stages], dim=1)

    def stages(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the early (n, m), middle (n, e) and last (n, d) vectors of images (n, 3, h, w).

        The images are standardized. The user's module has one vector, which is used for all three.
        """
        if self.card.architecture == OWN_MODULE:
            features = self.trunk(x).flatten(1)
            return features, features, features
        final, maps = self.trunk.forward_intermediates(x, indices=list(shown_stages(self.trunk)))
        early, middle = (stage.mean(dim=(2, 3), dtype=torch.float32) for stage in maps)
        return early, middle, self.trunk.forward_head(final, pre_logits=True)

    def in_dtype(self, dtype: str) -> Self:
        """Set the type of `folded`, "float32" or "bfloat16"; return the backbone.

        Raises:
            InputError: the processor does not support the type, or the backbone is the user's
                module.
        """
        check_dtype(getattr(torch, dtype))
        if self.card.architecture == OWN_MODULE and dtype != self.card.dtype:
            raise InputError(f"backbone.dtype: expected float32 for your own module, got {dtype}")
        self.card = self.card.model_copy(update={"dtype": dtype})
        return self

    def folded(self) -> Self:
        """Return a copy for inference, which computes in the type of the card.

        In float32 it is twice as fast, with the same values except for rounding, see
        `merged_layers`. The user's module is copied unchanged.

        Raises:
            InputError: the processor does not support the type.
        """
        if self.card.architecture == OWN_MODULE:
            return copy.deepcopy(self).eval()
        from belong.models.backbones.merged_layers import for_inference  # see `draw_trunk`

        dtype = getattr(torch, self.card.dtype)
        folded = type(self)(self.card, for_inference(self.trunk, dtype=dtype)).eval()
        folded.dtype = dtype
        return folded

    def check_size(self, images: Tensor) -> None:
        """Refuse images (n, ch, h, w) of a size that the network does not support.

        Raises:
            InputError: the size is wrong.
        """
        _, channels, height, width = images.shape
        card = self.card
        if channels not in (1, 3):
            raise InputError(f"{card.name}: expected grey or RGB images, got {channels} channels")
        if card.has_fixed_side and (height, width) != (card.side_px, card.side_px):
            raise InputError(
                f"{card.name}: expected images of {card.side_px}x{card.side_px} px, got "
                f"{height}x{width}; images.side_px sets the side"
            )
        if min(height, width) < LEAST_SIDE_PX:
            raise InputError(
                f"{card.name}: expected images of at least {LEAST_SIDE_PX} px, got {height}x{width}"
            )


def load_backbone(path: Path) -> Backbone:
    """Return the backbone in an output file of the stage `backbone`.

    Raises:
        InputError: the file has no backbone.
    """
    card = card_in(path)
    if card is None:
        raise InputError(f"{path}: expected the output of the stage backbone, got no backbone")
    return Backbone.from_arrays(load_arrays(path), card)


def draw_trunk(architecture: str, seed: int = 0) -> Any:
    """Return timm's network without a classifier, with random weights drawn by `seed`."""
    import timm  # imported here: it takes two seconds, and LeNet has no backbone

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return timm.create_model(architecture, pretrained=False, num_classes=0)


def shown_stages(trunk: Any) -> tuple[int, int]:
    """Return the indices of the early and the middle stage of the vectors."""
    last = len(trunk.feature_info) - 1
    return last // 4, 3 * last // 4
