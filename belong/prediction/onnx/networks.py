"""Add the networks and the autoencoder to a graph, as nodes."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from belong.detectors.onnx_graph import Graph, Node, Value, ViewNames
from belong.models import small_cnn
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.networks import FineTunedBackbone
from belong.models.base import Network
from belong.models.lenet import MAPS_SIDE, LeNet
from belong.models.registry import NETWORKS
from belong.models.small_cnn import SmallCnn
from belong.parameters import FINE_TUNED, FROZEN
from belong.prediction.bundle import Bundle
from belong.runtime.errors import InputError

Arrays = Mapping[str, np.ndarray]
NORM = ("weight", "bias", "running_mean", "running_var")  # arrays of a batch normalization


def views(graph: Graph, images: str, bundle: Bundle) -> ViewNames:
    """Add the networks; `images` is (n, ch, h, w) float32, 0..255."""
    network, shape = bundle.arrays["network"], bundle.manifest.shape
    name, form, card = bundle.manifest.network, bundle.manifest.form, bundle.manifest.backbone
    kind = NETWORKS[name]
    if kind is LeNet:
        maps, hidden, features = _lenet(graph, images, network, form.height, form.width)
    elif kind is SmallCnn:
        maps, hidden, features = _small_cnn(graph, images, network)
    elif card is not None and name == FINE_TUNED:
        tuned = FineTunedBackbone.from_arrays(network, shape, card).backbone
        maps, hidden, features = _stages(graph, images, tuned, form.height, form.width)
    elif card is not None and name == FROZEN:
        frozen = Backbone.from_arrays(bundle.arrays["backbone"], card)
        _, maps, hidden = _stages(graph, images, frozen, form.height, form.width)
        centered = graph("Div", graph("Sub", hidden, network["mean"]), network["scale"])
        features = graph("Relu", graph.linear(centered, network, "embedding"))
    else:
        rebuilt = kind.from_arrays(network, shape, card)
        blank = torch.zeros(2, form.channels, form.height, form.width, dtype=torch.uint8)
        maps, hidden, features = _any(graph, images, rebuilt, blank, name)
    logits = graph.linear(features, network, "classifier")
    codes = error = ""
    if "autoencoder" in bundle.arrays:
        codes, error = _coder(graph, images, bundle.arrays["autoencoder"], bundle)
    return ViewNames(features, logits, hidden, maps, codes, error)


def _lenet(
    graph: Graph, images: str, arrays: Arrays, height: int, width: int
) -> tuple[str, str, str]:
    """Add a LeNet, see `belong.models.lenet`."""
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
    """Add a `belong.models.small_cnn`, with each normalization merged into its convolution."""
    pixels = graph("Div", images, np.float32(255))
    x = graph("Sub", pixels, arrays["mean"][:, None, None])
    x = graph("Div", x, arrays["std"][:, None, None])
    means = []
    for stage in range(len(small_cnn.WIDTHS)):
        norm_arrays = {name: arrays[f"norms.{stage}.{name}"] for name in NORM}
        scale = norm_arrays["weight"] / np.sqrt(
            norm_arrays["running_var"] + np.float32(small_cnn.EPSILON)
        )
        weight = arrays[f"convolutions.{stage}.weight"] * scale[:, None, None, None]
        margin = weight.shape[2] // 2
        x = graph("Conv", x, weight, norm_arrays["bias"] - norm_arrays["running_mean"] * scale,
                  pads=[margin] * 4, strides=[1 if stage else 2] * 2)  # fmt: skip
        if stage:
            x = graph("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = graph("Relu", x)
        means.append(graph("ReduceMean", x, np.array([2, 3]), keepdims=0))
    features = graph("Relu", graph.linear(means[-1], arrays, "embedding"))
    return means[small_cnn.EARLY], means[-1], features


def _stages(graph: Graph, images: str, backbone: Backbone, height: int, width: int) -> list[str]:
    """Add a backbone; return the names of its early, middle and last stage."""
    card = backbone.card
    x = graph("Div", images, np.float32(255))
    x = graph("Sub", x, np.array(card.mean, np.float32)[:, None, None])
    x = graph("Div", x, np.array(card.std, np.float32)[:, None, None])
    concatenated, blank = _Joined(backbone, backbone.stages), torch.zeros(2, 3, height, width)
    nodes, constants = _traced(concatenated, blank, f"backbone {card.name}")
    vectors = graph.splice(nodes, constants, {"images": x}, "vectors")
    return graph.several(3, "Split", vectors, np.array(card.sizes), axis=1)


def _any(graph: Graph, images: str, network: Network, blank: Tensor, name: str) -> list[str]:
    """Add a network without a function here by tracing it, for images like `blank`."""
    with torch.no_grad():
        sizes = [part.shape[1] for part in network.eval().layers(blank)]
    concatenated = _Joined(network, lambda x: network.layers(x.to(torch.uint8)))
    nodes, constants = _traced(concatenated, blank.float(), f"network {name}")
    layers = graph.splice(nodes, constants, {"images": images}, "vectors")
    return graph.several(3, "Split", layers, np.array(sizes), axis=1)


class _Joined(nn.Module):
    """A module that concatenates the outputs (n, m) of a function of images."""

    def __init__(self, owner: nn.Module, parts: Callable[[Tensor], Iterable[Tensor]]) -> None:
        super().__init__()
        self.owner = owner  # the module with the weights that the function uses
        self.parts = parts

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat(tuple(self.parts(images)), dim=1)


def _traced(network: nn.Module, blank: Tensor, name: str) -> tuple[list[Node], Arrays]:
    """Return the nodes and constants of a network from torch's exporter.

    Raises:
        InputError: the exporter has no ONNX form of the network.
    """
    n = torch.export.Dim("n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                network.eval(), (blank,), dynamo=True, verbose=False,
                input_names=["images"], output_names=["vectors"], dynamic_shapes=({0: n},),
            )  # fmt: skip
    except Exception as error:  # the exporter may raise any error for an unknown network
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the {name} has no ONNX form: {type(error).__name__}: {reason}") from None
    proto = program.model_proto.graph
    nodes = [
        Node(
            node.op_type,
            list(node.input),
            list(node.output),
            {one.name: helper.get_attribute_value(one) for one in node.attribute},
        )
        for node in proto.node
    ]
    return nodes, {one.name: numpy_helper.to_array(one) for one in proto.initializer}


def _coder(graph: Graph, images: str, arrays: Arrays, bundle: Bundle) -> tuple[str, str]:
    """Add the autoencoder, see `belong.models.autoencoder`."""
    form = bundle.manifest.form
    most, k = arrays["encoder.weight"].shape[1], 1
    while form.channels * math.ceil(form.height / k) * math.ceil(form.width / k) > most:
        k += 1
    if k > 1:
        rows, columns = (_squares(side, k) for side in (form.height, form.width))
        images = graph("Round", _averaged(graph, images, rows, columns))
    pixels = graph("Div", graph("Flatten", images), np.float32(255))
    codes = graph("Sigmoid", graph.linear(pixels, arrays, "encoder"))
    reconstruction = graph("Sigmoid", graph.linear(codes, arrays, "decoder"))
    off = graph("Sub", reconstruction, pixels)
    return codes, graph.reduced("Mean", graph("Mul", off, off), 1)


def _averaged(graph: Graph, x: Value, rows: np.ndarray, columns: np.ndarray) -> str:
    """Average x (n, ch, h, w) over rectangles.

    The sum is divided once, as in torch, and is exact for whole numbers. `rows` (r, h) is 1 for the
    rows of each rectangle and 0 otherwise, and `columns` (s, w) likewise for the columns.
    """
    sums = graph("MatMul", graph("MatMul", rows, x), columns.T)
    return graph("Div", sums, np.outer(rows.sum(axis=1), columns.sum(axis=1)))


def _windows(side: int, parts: int) -> np.ndarray:
    """Return which of `side` positions are in each part of torch's adaptive pooling."""
    part, place = np.arange(parts)[:, None], np.arange(side)
    is_inside = (part * side // parts <= place) & (place * parts < (part + 1) * side)
    return is_inside.astype(np.float32)


def _squares(side: int, k: int) -> np.ndarray:
    """Return which of `side` positions are in each block of k; the last may be shorter."""
    return np.asarray(np.arange(-(-side // k))[:, None] == np.arange(side) // k, np.float32)
