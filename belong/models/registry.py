"""All networks by name. A new one is a file and a line here."""

from belong.models.efficientnet import EfficientNetB0
from belong.models.lenet import LeNet

NETWORKS: dict[str, type[LeNet | EfficientNetB0]] = {
    "lenet": LeNet,
    "efficientnet_b0": EfficientNetB0,
}
