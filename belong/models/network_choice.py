"""Choose the network: what the parameters `network` and `backbone` mean.

This module does not import torch, which stages without tensors do not need.
"""

from belong.parameters import FINE_TUNED, FROM_SCRATCH, FROZEN, BackboneSection


def has_backbone(network: str) -> bool:
    """Return whether a network has a backbone."""
    return network not in FROM_SCRATCH


def is_frozen(network: str, backbone: BackboneSection) -> bool:
    """Return whether only the layers above the backbone are trained."""
    return has_backbone(network) and backbone.frozen


def kind_of(network: str, backbone: BackboneSection) -> str:
    """Return the name in `belong.models.registry`: `FINE_TUNED` or `FROZEN` with a backbone."""
    if not has_backbone(network):
        return network
    return FROZEN if backbone.frozen else FINE_TUNED
