"""All networks by name. A new one is a file and a line here."""

import copy

from torch import Tensor

from belong.models.backbones.backbone import Backbone
from belong.models.backbones.networks import FineTunedBackbone, FrozenBackbone
from belong.models.base import Network
from belong.models.lenet import LeNet
from belong.models.small_cnn import SmallCnn

FROM_SCRATCH: dict[str, type[LeNet | SmallCnn]] = {"lenet": LeNet, "small_cnn": SmallCnn}
FROZEN, FINE_TUNED = "frozen", "fine_tuned"
NETWORKS: dict[str, type[Network]] = {
    **FROM_SCRATCH,
    FROZEN: FrozenBackbone,
    FINE_TUNED: FineTunedBackbone,
}


def build(
    name: str, inputs: Tensor, *, classes: int, embedding: int, backbone: Backbone | None = None
) -> Network:
    """Build a network whose weights are not drawn yet.

    Args:
        name: one of `NETWORKS`.
        inputs: images (n, ch, h, w) uint8; vectors (n, v) for a network on a frozen backbone.
        classes: c.
        embedding: units of the layer above a frozen backbone.
        backbone: for the two networks that have one; it is copied where it is trained.

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
