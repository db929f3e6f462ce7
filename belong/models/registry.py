"""List all networks by name.

A new network for images is a file belong/models/NAME.py with a subclass of `FromScratch`, and NAME
in `belong.parameters.FROM_SCRATCH`, as parameters are checked before torch is loaded.
"""

import copy
from importlib import import_module

from torch import Tensor

from belong import parameters
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.networks import FineTunedBackbone, FrozenBackbone
from belong.models.base import FromScratch, Network
from belong.parameters import FINE_TUNED, FROZEN


def network_in(module: str) -> type[FromScratch]:
    """Return the network class of a module.

    Raises:
        TypeError: the module defines none or several.
    """
    kinds = [
        value
        for value in vars(import_module(module)).values()
        if isinstance(value, type) and issubclass(value, FromScratch) and value.__module__ == module
    ]
    if len(kinds) != 1:
        raise TypeError(f"{module}: expected one subclass of FromScratch, got {len(kinds)}")
    return kinds[0]


FROM_SCRATCH = {name: network_in(f"belong.models.{name}") for name in parameters.FROM_SCRATCH}
NETWORKS: dict[str, type[Network]] = {
    **FROM_SCRATCH,
    FROZEN: FrozenBackbone,
    FINE_TUNED: FineTunedBackbone,
}


def build(
    name: str, inputs: Tensor, *, classes: int, embedding: int, backbone: Backbone | None = None
) -> Network:
    """Build a network without initialized weights.

    Args:
        name: one of `NETWORKS`.
        inputs: images (n, ch, h, w) uint8; vectors (n, v) for a network on a frozen backbone.
        classes: c.
        embedding: units of the layer above a frozen backbone.
        backbone: for the two networks with a backbone; copied if it is trained.

    Raises:
        InputError: the network cannot take images of this size.
    """
    if name in FROM_SCRATCH:
        return FROM_SCRATCH[name].for_images(inputs, classes=classes)
    if backbone is None:
        raise ValueError(f"{name} needs a backbone")
    if name == FROZEN:
        return FrozenBackbone.above(backbone.card, classes=classes, embedding=embedding)
    return FineTunedBackbone(classes=classes, backbone=copy.deepcopy(backbone))
