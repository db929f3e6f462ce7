"""What a network of timm's is, before it takes memory: a model of a stranger's may name any."""

from typing import Any

import timm
import torch


def outline(architecture: str) -> Any:
    """Return timm's network without a classifier, which has shapes and no weights.

    Raises:
        ValueError: timm has none of this name; it would look for others at an address.
    """
    if not timm.is_model(architecture):
        raise ValueError(f"timm {timm.__version__} has no network {architecture[:80]!r}")
    with torch.device("meta"):
        return timm.create_model(architecture, pretrained=False, num_classes=0)


def bytes_of(architecture: str) -> int:
    """Return how much memory the weights of a network of timm's take.

    Raises:
        ValueError: timm has none of this name.
    """
    return sum(x.nbytes for x in outline(architecture).state_dict().values())
