"""All networks by name. A new one is a file and a line here."""

from torch import Tensor

from belong.models.base import Network
from belong.models.efficientnet import EfficientNetB0
from belong.models.frozen_backbone import FrozenEfficientNetB0
from belong.models.lenet import LeNet
from belong.models.small_cnn import SmallCnn

FOR_IMAGES: dict[str, type[LeNet | SmallCnn | EfficientNetB0]] = {
    "lenet": LeNet,
    "small_cnn": SmallCnn,
    "efficientnet_b0": EfficientNetB0,
}
FROZEN = "frozen_efficientnet_b0"
NETWORKS: dict[str, type[Network]] = {**FOR_IMAGES, FROZEN: FrozenEfficientNetB0}


def build(name: str, inputs: Tensor, *, classes: int, embedding: int) -> Network:
    """Build a network whose weights are not drawn yet.

    `name` is one of `NETWORKS`; the network on a frozen backbone takes vectors (n, v), and has a
    layer of `embedding` units above them; the others take images (n, ch, h, w).

    Raises:
        InputError: the network cannot take images of this size.
    """
    if name == FROZEN:
        return FrozenEfficientNetB0(classes=classes, embedding=embedding)
    return FOR_IMAGES[name].for_images(inputs, classes=classes)
