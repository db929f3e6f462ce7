"""Embed photos with a frozen backbone, which takes nearly all of the time per photo."""

from functools import cache, partial
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from belong.models.backbones.backbone import Backbone
from belong.models.backbones.card import DRAWN
from belong.models.backbones.catalog import backbone_named, card_of
from belong.models.feature_extraction import embed
from benchmarks.agreement import relative
from benchmarks.contract import Peer, Race, Setting
from benchmarks.stock import backbones as stock
from benchmarks.stock.backbones import Vectors

SIDE_PX = 224
FLOAT32, BFLOAT16 = 1e-4, 0.05  # of the largest value


def lite0(setting: Setting, *, dtype: str) -> Race:
    """Embed photos with EfficientNet-Lite0 and the weights that come with pip."""
    backbone = backbone_named("efficientnet_lite0").eval()
    backbone.in_dtype(dtype)
    tolerance = FLOAT32 if dtype == "float32" else BFLOAT16
    return _race(backbone, setting, "timm", backbone.vectors, tolerance)


def b0(setting: Setting) -> Race:
    """Embed photos with EfficientNet-B0; its weights are drawn."""
    backbone = Backbone(card_of("efficientnet_b0", DRAWN)).eval()
    torchvision = stock.folded_torchvision_b0(
        backbone.trunk.state_dict(), partial(standardized, backbone)
    )
    return _race(backbone, setting, "torchvision, folded", torchvision, FLOAT32)


def _race(
    backbone: Backbone, setting: Setting, peer: str, theirs: Vectors, tolerance: float
) -> Race:
    n = setting.size(160, 6)
    generator = torch.Generator().manual_seed(0)
    shape = n, 3, SIDE_PX, SIDE_PX
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    card = backbone.card

    @cache
    def onnx_runtime() -> Vectors:
        standardize = partial(standardized, backbone)
        return stock.in_onnx_runtime(Stages(backbone), standardize, SIDE_PX, setting.threads)

    if find_spec("onnxruntime"):
        onnx_runtime()  # no part of what is timed

    def ours(_: int) -> np.ndarray:
        return embed(backbone, images, device=torch.device("cpu"), jobs=setting.threads).numpy()

    return Race(
        what=f"vectors of {n} photos of {SIDE_PX} px, {card.name}, {card.dtype}",
        ours=ours,
        peers={
            peer: Peer(lambda _: stock.embed(theirs, images), relative(tolerance)),
            "ONNX Runtime": Peer(
                lambda _: stock.embed(onnx_runtime(), images),
                relative(tolerance),
                package="onnxruntime",
            ),
        },
    )


class Stages(nn.Module):
    """Standardized images (n, 3, h, w) -> vectors (n, v), for the exporter."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        """Join the stages."""
        return torch.cat(self.backbone.stages(images), dim=1)


def standardized(backbone: Backbone, images: Tensor) -> Tensor:
    """Prepare images (n, 3, h, w) uint8 as the backbone does itself."""
    return (images.float() / 255 - backbone.pixel_mean) / backbone.pixel_std
