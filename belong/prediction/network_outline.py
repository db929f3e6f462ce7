"""Measure a network of timm before its memory is allocated: an untrusted model may name any."""

from typing import Any

import torch


def outline(architecture: str) -> Any:
    """Return a network of timm without classifier, with the shapes of its weights only.

    Raises:
        ValueError: the name is unknown; timm would otherwise treat it as an address.
    """
    import timm  # imported here: it takes two seconds, and most models have no network of timm

    if not timm.is_model(architecture):
        raise ValueError(f"timm {timm.__version__} has no network {architecture[:80]!r}")
    with torch.device("meta"):
        return timm.create_model(architecture, pretrained=False, num_classes=0)


def bytes_of(architecture: str) -> int:
    """Return the size of the weights of a network of timm in bytes.

    Raises:
        ValueError: the name is unknown.
    """
    return sum(x.nbytes for x in outline(architecture).state_dict().values())
