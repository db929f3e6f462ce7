"""Embed photos with timm or torchvision alone, and with ONNX Runtime."""

import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import efficientnet_b0
from torchvision.ops.misc import Conv2dNormActivation

BATCH = 16
STAGES = (
    2,
    5,
    8,
)  # of torchvision's EfficientNet-B0: quarter and sixteenth of the side, and the last

# Of images (n, 3, h, w) uint8.
Standardize: TypeAlias = Callable[[Tensor], Tensor]
Vectors: TypeAlias = Callable[[Tensor], Tensor]


def embed(vectors: Vectors, images: Tensor) -> np.ndarray:
    """Return the vectors of images (n, 3, h, w) uint8, batch by batch."""
    with torch.no_grad():
        return torch.cat([vectors(batch) for batch in images.split(BATCH)]).numpy()


def folded_torchvision_b0(arrays: Mapping[str, Tensor], standardize: Standardize) -> Vectors:
    """Return torchvision's network with these arrays, its batch normalizations folded by torch.

    torchvision and timm have the same arrays of EfficientNet-B0 in the same order.
    """
    stages = efficientnet_b0().features
    stages.load_state_dict(dict(zip(stages.state_dict(), arrays.values(), strict=True)))
    for block in stages.eval().modules():
        if isinstance(block, Conv2dNormActivation):
            block[0], block[1] = fuse_conv_bn_eval(block[0], block[1]), nn.Identity()
    stages.to(memory_format=torch.channels_last)

    def vectors(images: Tensor) -> Tensor:
        x = standardize(images).contiguous(memory_format=torch.channels_last)
        means = []
        for number, stage in enumerate(stages):
            x = stage(x)
            if number in STAGES:
                means.append(x.mean(dim=(2, 3)))
        return torch.cat(means, dim=1)

    return vectors


def in_onnx_runtime(
    network: nn.Module, standardize: Standardize, side_px: int, threads: int
) -> Vectors:
    """Return a network, standardized images (n, 3, h, w) -> vectors, as ONNX Runtime runs it."""
    import onnxruntime  # not at the top: it is an extra

    file: Any = io.BytesIO()  # the exporter takes it, though its types do not say so
    example = torch.zeros(BATCH, 3, side_px, side_px)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the exporter says of itself
        torch.onnx.export(
            network.eval(), (example,), file, dynamo=False, input_names=["images"],
            output_names=["vectors"], dynamic_axes={"images": {0: "n"}, "vectors": {0: "n"}},
        )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file.getvalue(), options)

    def vectors(images: Tensor) -> Tensor:
        (features,) = session.run(None, {"images": standardize(images).numpy()})
        return torch.from_numpy(features)

    return vectors
