"""The networks as nodes of a graph: what `layers` of each does, and the autoencoder."""

import math
from collections.abc import Mapping

import numpy as np
from torch import nn

from belong.detectors.onnx_graph import Graph, Value, ViewNames
from belong.models import small_cnn
from belong.models.efficientnet import EARLY, MEAN, MIDDLE, STD, Backbone
from belong.models.lenet import MAPS_SIDE
from belong.prediction.bundle import Bundle

Arrays = Mapping[str, np.ndarray]
NORM = ("weight", "bias", "running_mean", "running_var")  # arrays of a batch normalization


def views(graph: Graph, images: str, bundle: Bundle) -> ViewNames:
    """Add the networks; `images` is (n, ch, h, w) float32, 0..255."""
    network = bundle.arrays["network"]
    kind, form = bundle.manifest.network, bundle.manifest.form
    if kind == "lenet":
        maps, hidden, features = _lenet(graph, images, network, form.height, form.width)
    elif kind == "small_cnn":
        maps, hidden, features = _small_cnn(graph, images, network)
    elif kind == "efficientnet_b0":
        maps, hidden, features = _backbone(graph, images, network)
    else:
        _, maps, hidden = _backbone(graph, images, bundle.arrays["backbone"])
        centered = graph("Div", graph("Sub", hidden, network["mean"]), network["scale"])
        features = graph("Relu", graph.linear(centered, network, "embedding"))
    logits = graph.linear(features, network, "classifier")
    codes = error = ""
    if "autoencoder" in bundle.arrays:
        codes, error = _coder(graph, images, bundle.arrays["autoencoder"], bundle)
    return ViewNames(features, logits, hidden, maps, codes, error)


def _lenet(
    graph: Graph, images: str, arrays: Arrays, height: int, width: int
) -> tuple[str, str, str]:
    """See belong.models.lenet."""
    pixels = graph("Div", images, np.float32(255))
    x = graph("Sub", pixels, arrays["mean"][:, None, None])
    x = graph("Div", x, arrays["std"][:, None, None])
    stages = []
    for layer, pads in (("conv1", [2, 2, 2, 2]), ("conv2", [0, 0, 0, 0])):
        x = graph("Conv", x, arrays[f"{layer}.weight"], arrays[f"{layer}.bias"], pads=pads)
        x = graph("Relu", graph("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))
        stages.append(x)
    rows, columns = (_windows(side // 2, MAPS_SIDE) for side in (height, width))
    maps = graph("Flatten", _averaged(graph, stages[0], rows, columns))
    hidden = graph("Relu", graph.linear(graph("Flatten", x), arrays, "hidden1"))
    return maps, hidden, graph("Relu", graph.linear(hidden, arrays, "hidden2"))


def _small_cnn(graph: Graph, images: str, arrays: Arrays) -> tuple[str, str, str]:
    """See belong.models.small_cnn; each normalization goes into the convolution before it."""
    pixels = graph("Div", images, np.float32(255))
    x = graph("Sub", pixels, arrays["mean"][:, None, None])
    x = graph("Div", x, arrays["std"][:, None, None])
    means = []
    for stage in range(len(small_cnn.WIDTHS)):
        own = {name: arrays[f"norms.{stage}.{name}"] for name in NORM}
        scale = own["weight"] / np.sqrt(own["running_var"] + np.float32(small_cnn.EPSILON))
        weight = arrays[f"convolutions.{stage}.weight"] * scale[:, None, None, None]
        margin = weight.shape[2] // 2
        x = graph("Conv", x, weight, own["bias"] - own["running_mean"] * scale,
                  pads=[margin] * 4, strides=[1 if stage else 2] * 2)  # fmt: skip
        if stage:
            x = graph("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = graph("Relu", x)
        means.append(graph("ReduceMean", x, np.array([2, 3]), keepdims=0))
    features = graph("Relu", graph.linear(means[-1], arrays, "embedding"))
    return means[small_cnn.EARLY], means[-1], features


def _backbone(graph: Graph, images: str, arrays: Arrays) -> tuple[str, str, str]:
    """See belong.models.efficientnet; its layers are walked one by one."""
    # Not at the top: LeNet wants neither of both, and torchvision takes a second.
    from torchvision.models.efficientnet import MBConv
    from torchvision.ops.misc import SqueezeExcitation

    def through(x: str, layer: nn.Module) -> str:
        if isinstance(layer, nn.Conv2d):
            bias = [] if layer.bias is None else [layer.bias.detach().numpy()]
            pads = [*map(int, layer.padding)] * 2
            return graph("Conv", x, layer.weight.detach().numpy(), *bias,
                         strides=list(layer.stride), pads=pads, group=layer.groups)  # fmt: skip
        if isinstance(layer, nn.SiLU):
            return graph("Mul", x, graph("Sigmoid", x))
        if isinstance(layer, SqueezeExcitation):
            squeezed = through(graph("GlobalAveragePool", x), layer.fc1)
            excited = through(through(squeezed, layer.activation), layer.fc2)
            return graph("Mul", x, graph("Sigmoid", excited))
        if isinstance(layer, MBConv):
            made = through(x, layer.block)
            return graph("Add", x, made) if layer.use_res_connect else made
        if isinstance(layer, nn.Sequential):
            for one in layer:
                x = through(x, one)
            return x
        if isinstance(layer, nn.Identity):
            return x
        raise TypeError(f"no node for a {type(layer).__name__}")

    backbone = Backbone()
    own = {name: arrays[name] for name in backbone.arrays()}
    backbone = backbone.loaded(own).folded()
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (MEAN, STD))
    x = graph("Div", graph("Sub", graph("Div", images, np.float32(255)), mean), std)
    means = {}
    for stage, blocks in enumerate(backbone.features):
        x = through(x, blocks)
        means[stage] = x
    wanted = (EARLY, MIDDLE, len(means) - 1)
    early, middle, last = (
        graph("ReduceMean", means[stage], np.array([2, 3]), keepdims=0) for stage in wanted
    )
    return early, middle, last


def _coder(graph: Graph, images: str, arrays: Arrays, bundle: Bundle) -> tuple[str, str]:
    """See belong.models.autoencoder."""
    form = bundle.manifest.form
    most, k = arrays["encoder.weight"].shape[1], 1
    while form.channels * math.ceil(form.height / k) * math.ceil(form.width / k) > most:
        k += 1
    if k > 1:
        rows, columns = (_squares(side, k) for side in (form.height, form.width))
        images = graph("Round", _averaged(graph, images, rows, columns))
    pixels = graph("Div", graph("Flatten", images), np.float32(255))
    codes = graph("Sigmoid", graph.linear(pixels, arrays, "encoder"))
    drawn = graph("Sigmoid", graph.linear(codes, arrays, "decoder"))
    off = graph("Sub", drawn, pixels)
    return codes, graph.reduced("Mean", graph("Mul", off, off), 1)


def _averaged(graph: Graph, x: Value, rows: np.ndarray, columns: np.ndarray) -> str:
    """Average x (n, ch, h, w) over rectangles.

    The sum is divided once, as torch does it: of whole numbers it is exact. `rows` (r, h) of 0 and
    1 says which rows each rectangle has, and `columns` (s, w) which columns.
    """
    sums = graph("MatMul", graph("MatMul", rows, x), columns.T)
    return graph("Div", sums, np.outer(rows.sum(axis=1), columns.sum(axis=1)))


def _windows(side: int, parts: int) -> np.ndarray:
    """Return which of `side` places are in each of the parts of torch's adaptive pooling."""
    part, place = np.arange(parts)[:, None], np.arange(side)
    is_inside = (part * side // parts <= place) & (place * parts < (part + 1) * side)
    return is_inside.astype(np.float32)


def _squares(side: int, k: int) -> np.ndarray:
    """Return which of `side` places are in each stretch of k; the last may be cut."""
    return np.asarray(np.arange(-(-side // k))[:, None] == np.arange(side) // k, np.float32)
