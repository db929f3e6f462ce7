"""Write a graph of operators as an ONNX model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, checker, helper, numpy_helper

from belong.detectors.onnx_graph import Graph, Node, Value

OPSET, IR_VERSION = 20, 10  # of 2024; onnxruntime 1.18 and later read them

Shape = tuple[str | int, ...]


def onnx_model(
    graph: Graph,
    inputs: Mapping[str, tuple[type[np.generic], Shape]],
    outputs: Mapping[str, tuple[Value, type[np.generic], Shape]],
    about: Mapping[str, str],
) -> ModelProto:
    """Return the whole graph, checked.

    Args:
        graph: the nodes; those that name the outputs are added.
        inputs: name -> kind and shape; a letter is an axis of any length.
        outputs: name -> which value it is, kind and shape.
        about: the metadata.
    """
    for name, (value, _, _) in outputs.items():
        graph.output(name, value)
    proto = helper.make_graph(
        [_node(node) for node in graph.nodes],
        "belong",
        [_described(name, *facts) for name, facts in inputs.items()],
        [_described(name, *facts[1:]) for name, facts in outputs.items()],
        [
            numpy_helper.from_array(np.asarray(constant, order="C"), name)
            for name, constant in graph.constants
        ],
    )
    model = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="belong",
    )  # fmt: skip
    helper.set_model_props(model, dict(about))
    checker.check_model(model)
    return model


def _node(node: Node) -> NodeProto:
    attributes: dict[str, Any] = {
        name: _element(value) if isinstance(value, type) else value
        for name, value in node.attributes.items()
    }
    return helper.make_node(node.operator, node.inputs, node.outputs, **attributes)


def _element(kind: type[np.generic]) -> int:
    """Return ONNX's number for a kind of numbers."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(kind)))


def _described(name: str, kind: type[np.generic], shape: Shape) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, _element(kind), shape)
