"""An ONNX graph that grows node by node: `graph("MatMul", x, weights)`.

The nodes are written one by one, not traced from torch: torch's own exporter fixed the number of
images where a detector goes by chunks, and took minutes (torch 2.15, two shared cores).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

OPSET, IR_VERSION = 20, 10  # of 2024; onnxruntime 1.18 and later read them
ELEMENTS = {np.dtype(np.uint8): TensorProto.UINT8, np.dtype(np.float32): TensorProto.FLOAT,
            np.dtype(np.float64): TensorProto.DOUBLE, np.dtype(np.int64): TensorProto.INT64,
            np.dtype(np.bool_): TensorProto.BOOL}  # fmt: skip

Value = str | np.ndarray | np.generic  # what another node, or the input, gives; or a constant
Shape = tuple[str | int, ...]


class Graph:
    """Nodes and constants; what a node gives goes by a name of its own."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: dict[int, tuple[str, np.ndarray | np.generic]] = {}

    def __call__(self, operator: str, *inputs: Value, **attributes: Any) -> str:
        """Add a node with one output; return its name."""
        return self.several(1, operator, *inputs, **attributes)[0]

    def several(self, outputs: int, operator: str, *inputs: Value, **attributes: Any) -> list[str]:
        """Add a node with several outputs; return their names."""
        names = [self._name(value) for value in inputs]
        made = [f"{operator}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(operator, names, made, **attributes))
        return made

    def cast(self, x: Value, kind: type[np.generic]) -> str:
        """Return x as numbers of another kind."""
        return self("Cast", x, to=ELEMENTS[np.dtype(kind)])

    def linear(self, x: Value, arrays: Mapping[str, np.ndarray], layer: str) -> str:
        """Pass x (n, d) through a layer with `LAYER.weight` (e, d) and `LAYER.bias` (e,)."""
        return self("Gemm", x, arrays[f"{layer}.weight"], arrays[f"{layer}.bias"], transB=1)

    def length(self, x: Value, axis: int) -> str:
        """Return the Euclidean length of x along an axis, which is left out."""
        return self("ReduceL2", x, np.array([axis]), keepdims=0)

    def reduced(self, how: str, x: Value, axis: int) -> str:
        """Return the sum, the largest and so on (`Sum`, `Max`) along an axis, left out."""
        return self(f"Reduce{how}", x, np.array([axis]), keepdims=0)

    def model(
        self,
        inputs: Mapping[str, tuple[type[np.generic], Shape]],
        outputs: Mapping[str, tuple[Value, type[np.generic], Shape]],
        about: Mapping[str, str],
    ) -> ModelProto:
        """Return the whole graph, checked.

        Args:
            inputs: name -> kind and shape; a letter is an axis of any length.
            outputs: name -> which value it is, kind and shape.
            about: the metadata.
        """
        for name, (value, _, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [self._name(value)], [name]))
        graph = helper.make_graph(
            self._nodes,
            "belong",
            [_described(name, *facts) for name, facts in inputs.items()],
            [_described(name, *facts[1:]) for name, facts in outputs.items()],
            [
                numpy_helper.from_array(np.asarray(constant, order="C"), name)
                for name, constant in self._constants.values()
            ],
        )
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
            producer_name="belong",
        )  # fmt: skip
        helper.set_model_props(made, dict(about))
        checker.check_model(made)
        return made

    def _name(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        # Known by its id, for the array is kept: what two nodes share is in the file once.
        fresh = f"constant_{len(self._constants)}", value
        return self._constants.setdefault(id(value), fresh)[0]


def _described(name: str, kind: type[np.generic], shape: Shape) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, ELEMENTS[np.dtype(kind)], shape)
