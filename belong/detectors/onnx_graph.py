"""Build a graph of ONNX operators node by node: `graph("MatMul", x, weights)`.

Building a graph does not need the package onnx; `belong.prediction.onnx.export` writes it as a
model. The nodes are written one by one instead of traced from torch, as torch's exporter fixes the
number of images in a detector that works in chunks. A backbone, which may be any network of timm,
is traced and spliced in.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

Value = str | np.ndarray | np.generic  # the name of an input or of a node's output; or a constant


class ViewNames(NamedTuple):
    """The names of the detector inputs: the fields of `belong.models.activations.Views`."""

    features: str
    logits: str
    hidden: str
    maps: str
    codes: str
    reconstruction_error: str


class Node(NamedTuple):
    """An operator and the names of its inputs and outputs; attributes may be NumPy's types."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


class Graph:
    """Nodes and constants; each output of a node has a unique name."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._constants: dict[int, tuple[str, np.ndarray | np.generic]] = {}

    def __call__(self, operator: str, *inputs: Value, **attributes: Any) -> str:
        """Add a node with one output; return its name."""
        return self.several(1, operator, *inputs, **attributes)[0]

    def several(self, outputs: int, operator: str, *inputs: Value, **attributes: Any) -> list[str]:
        """Add a node with several outputs; return their names."""
        names = [self._name(value) for value in inputs]
        output_names = [f"{operator}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(Node(operator, names, output_names, attributes))
        return output_names

    def splice(
        self,
        nodes: Iterable[Node],
        constants: Mapping[str, np.ndarray],
        inputs: Mapping[str, Value],
        output: str,
    ) -> str:
        """Add the nodes of another graph under new names; return the name of its `output`.

        Args:
            nodes: in their order.
            constants: of that graph, by name.
            inputs: name in that graph -> value in this one.
            output: name of the output in that graph.
        """
        names = {name: self._name(value) for name, value in {**constants, **inputs}.items()}
        for node in nodes:
            new_names = [f"{node.operator}_{len(self.nodes)}_{i}" for i in range(len(node.outputs))]
            inner_inputs = [names[name] if name else "" for name in node.inputs]
            self.nodes.append(Node(node.operator, inner_inputs, new_names, node.attributes))
            names |= dict(zip(node.outputs, new_names, strict=True))
        return names[output]

    def output(self, name: str, value: Value) -> None:
        """Name a value as an output of the graph."""
        self.nodes.append(Node("Identity", [self._name(value)], [name], {}))

    def cast(self, x: Value, kind: type[np.generic]) -> str:
        """Cast x to another type."""
        return self("Cast", x, to=kind)

    def linear(self, x: Value, arrays: Mapping[str, np.ndarray], layer: str) -> str:
        """Pass x (n, d) through a layer with `LAYER.weight` (e, d) and `LAYER.bias` (e,)."""
        return self("Gemm", x, arrays[f"{layer}.weight"], arrays[f"{layer}.bias"], transB=1)

    def length(self, x: Value, axis: int) -> str:
        """Return the Euclidean norm of x along an axis, which is removed."""
        return self("ReduceL2", x, np.array([axis]), keepdims=0)

    def direction(self, x: Value) -> str:
        """Normalize the rows of x (n, d); zero rows are unchanged."""
        length = self("ReduceL2", x, np.array([1]))
        return self("Div", x, self("Max", length, np.float32(1e-12)))

    def reduced(self, operation: str, x: Value, axis: int) -> str:
        """Reduce x along an axis (`Sum`, `Max`, ...), which is removed."""
        return self(f"Reduce{operation}", x, np.array([axis]), keepdims=0)

    @property
    def constants(self) -> list[tuple[str, np.ndarray | np.generic]]:
        """The constants with their names."""
        return list(self._constants.values())

    def _name(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        # Identified by the id of the array, so that a constant shared by two nodes is stored once.
        fresh = f"constant_{len(self._constants)}", value
        return self._constants.setdefault(id(value), fresh)[0]
