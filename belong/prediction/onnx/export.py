"""Export a model as one ONNX graph, from the pixels to the verdict.

    images        (n, h, w, ch) uint8, decoded and converted to the form of the model
logits        (n, c) float32
probability   (n,) float32, of the predicted class, at the model's temperature
label         (n,) int64, the predicted class, 0..c-1
score         (n,) float32, of the deciding detector, higher is more anomalous
p_value       (n,) float64, share of the held-out images that are at least as anomalous
detectors     (n, m) float32, the scores of the members of `combined`, or of the deciding detector
threshold     () float32, the score up to which an image belongs
belongs       (n,) bool

n is free. Neighbor detectors need memory for n x training images, so n should be a few hundred.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, checker, helper, numpy_helper

from belong.calibration.verdict_rule import Calibration, VerdictRule
from belong.data.image_form import ImageForm
from belong.data.image_reader import jpeg_draft_size
from belong.detectors.combined import REVIEW_HEAD, Combination, Surprise
from belong.detectors.onnx_graph import Graph, Node, Value, ViewNames
from belong.detectors.registry import OF_MODELS
from belong.prediction.bundle import Bundle
from belong.prediction.onnx import networks
from belong.prediction.rule_of_model import rule_of
from belong.runtime.errors import InputError

OPSET, IR_VERSION = 20, 10  # of 2024; onnxruntime 1.18 and later read them
Shape = tuple[str | int, ...]


def model(bundle: Bundle, rule: VerdictRule | None = None) -> ModelProto:
    """Return the graph, with the verdicts of `rule`; None: those of the model's own rule.

    The metadata has the classes and the form of the images from the manifest.

    Raises:
        InputError: a detector or the network of the model has no ONNX form.
    """
    manifest, graph = bundle.manifest, Graph()
    rule = rule or rule_of(bundle)
    form = manifest.form
    pixels = graph("Transpose", graph.cast("images", np.float32), perm=[0, 3, 1, 2])
    views = networks.views(graph, pixels, bundle)
    names = manifest.members or [manifest.detector]
    scores = {name: _score(graph, views, name, bundle) for name in names}
    score = _combined(graph, scores, bundle) if manifest.members else scores[manifest.detector]
    scaled = graph("Div", views.logits, np.float32(manifest.temperature))
    likely = graph("Softmax", scaled, axis=1)
    label = graph("ArgMax", views.logits, axis=1, keepdims=0)
    precise = graph.cast(score, np.float64)
    threshold, p_value = _decided(graph, rule, precise, label, classes=len(manifest.class_names))
    return onnx_model(
        graph,
        inputs={"images": (np.uint8, ("n", form.height, form.width, form.channels))},
        outputs={
            "logits": (views.logits, np.float32, ("n", len(manifest.class_names))),
            "probability": (graph.reduced("Max", likely, 1), np.float32, ("n",)),
            "label": (label, np.int64, ("n",)),
            "score": (score, np.float32, ("n",)),
            "p_value": (p_value, np.float64, ("n",)),
            "detectors": (_columns(graph, scores.values()), np.float32, ("n", len(names))),
            "threshold": (np.float32(rule.pooled.threshold), np.float32, ()),
            # The same as `belong.calibration.verdict.decide`; `verify` compares the two.
            "belongs": (graph("LessOrEqual", precise, threshold), np.bool_, ("n",)),
        },
        about={
            "class_names": json.dumps(manifest.class_names),
            "form": form.model_dump_json(),
            "decoding": json.dumps(decoding(form)),
            "detector": manifest.detector,
            "detectors": json.dumps(names),
            "threshold": repr(rule.pooled.threshold),
            "alpha": repr(rule.alpha),
            "guarantee": rule.guarantee,
            "manifest_sha256": manifest.digest,
        },
    )


def decoding(form: ImageForm) -> dict[str, object]:
    """Describe the decoding of a file to the input pixels of the graph, for JSON."""
    width, height = jpeg_draft_size(max(form.height, form.width))
    return {
        "jpeg": (
            "decoded at the smallest of 1/8, 1/4, 1/2 and 1/1 of its size (the scaled DCT of "
            f"libjpeg, as Image.draft of Pillow chooses it) with at least {width} x {height} pixels"
        ),
        "jpeg_draft": [width, height],
        "orientation": "turned as the Orientation of EXIF says",
        "profile": "converted to sRGB by its ICC profile, relative colorimetric, with black point "
        "compensation",
        "transparency": f"laid over {list(form.background)}",
        "resize": "bicubic, antialiased, until it just covers the form, and cut at its center",
        "grey": "0.299 red, 0.587 green, 0.114 blue, after the resizing",
    }


def _score(graph: Graph, views: ViewNames, name: str, bundle: Bundle) -> str:
    """Add the scores of a detector: (n,) float32."""
    score = OF_MODELS[name].from_arrays(bundle.of_detector(name)).onnx(graph, views)
    if score is None:
        raise InputError(f"the detector {name} has no ONNX form; every other command works with it")
    return score


def _columns(graph: Graph, scores: Iterable[str]) -> str:
    """Concatenate the scores (n,) of m detectors: (n, m)."""
    each = [graph("Unsqueeze", one, np.array([1])) for one in scores]
    return graph("Concat", *each, axis=1)


def _decided(
    graph: Graph, rule: VerdictRule, scores: str, labels: str, *, classes: int
) -> tuple[Value, str]:
    """Add the thresholds (n,) float64 and the p-values (n,) of scores, see `VerdictRule`."""
    limit, p_values = np.float64(rule.pooled.limit), _p_values(graph, rule.pooled, scores)
    if not rule.of_class:
        return limit, p_values
    limits = np.full(classes, limit)
    for label, calibration in rule.of_class.items():
        limits[label] = calibration.limit
        is_own = graph("Equal", labels, np.int64(label))
        p_values = graph("Where", is_own, _p_values(graph, calibration, scores), p_values)
    return graph("Gather", limits, labels), p_values


def _p_values(graph: Graph, calibration: Calibration, scores: str) -> str:
    more = graph("Add", _at_least(graph, calibration.ties, scores), np.float64(1))
    return graph("Div", more, np.float64(len(calibration.ties) + 1))


def _combined(graph: Graph, scores: dict[str, str], bundle: Bundle) -> str:
    """Add the combined score, see `belong.detectors.combined`: (n,) float32."""
    held_out, rule = bundle.arrays["calibration"], bundle.manifest.combination
    fitted = Combination.fit(
        {name: held_out[f"member/{name}"] for name in scores}, tail=bundle.manifest.tail, rule=rule
    )
    part_of = _deviation if rule == "stouffer" else _surprise
    parts = [
        part_of(graph, fitted.surprises[name], score)
        for name, score in scores.items()
        if name != REVIEW_HEAD
    ]
    if rule == "harmonic":
        columns = [graph("Unsqueeze", part, np.array([1])) for part in parts]
        every = graph("Concat", *columns, axis=1)
        total = graph.cast(graph.reduced("LogSumExp", every, 1), np.float32)
    else:
        total = graph.cast(graph("Sum", *parts), np.float32)
    if fitted.others is None:
        return total
    of_head = _deviation(graph, fitted.surprises[REVIEW_HEAD], scores[REVIEW_HEAD])
    return graph.cast(graph("Max", _deviation(graph, fitted.others, total), of_head), np.float32)


def _surprise(graph: Graph, of: Surprise, score: str) -> str:
    """Add minus log p of scores (n,) float32: (n,) float64."""
    precise = graph.cast(score, np.float64)
    share = graph("Div", _at_least(graph, of.held_out, precise), np.float64(len(of.held_out)))
    below = graph("Neg", graph("Log", graph("Max", share, np.float64(of.share))))
    excess = graph("Div", graph("Sub", precise, np.float64(of.start)), np.float64(of.mean_excess))
    beyond = graph("Add", excess, -np.log(np.float64(of.share)))
    is_beyond = graph("Greater", precise, np.float64(of.beyond))
    return graph("Where", is_beyond, beyond, below)


def _deviation(graph: Graph, of: Surprise, score: str) -> str:
    """Add the deviations of scores (n,) float32: (n,) float64."""
    precise = graph.cast(score, np.float64)
    at_least = graph.cast(_at_least(graph, of.held_out, precise), np.int64)
    below = graph("Gather", of.deviations, at_least)
    excess = graph("Div", graph("Sub", precise, np.float64(of.start)), np.float64(of.mean_excess))
    first = of.first_deviation
    square = graph("Mul", graph("Max", excess, np.float64(0)), np.float64(2))
    root = graph("Sqrt", graph("Add", square, np.float64(max(first, 0) ** 2)))
    beyond = graph("Add", root, np.float64(min(first, 0)))
    return graph("Where", graph("Greater", precise, np.float64(of.beyond)), beyond, below)


def _at_least(graph: Graph, held_out: np.ndarray, scores: str) -> str:
    """Add the number of held-out scores that are at least as large as each score: (n,) float64."""
    column = graph("Unsqueeze", scores, np.array([1]))
    is_larger = graph("GreaterOrEqual", held_out[None], column)
    return graph.reduced("Sum", graph.cast(is_larger, np.float64), 1)


# --- the file format ----------------------------------------------------------------------------


def onnx_model(
    graph: Graph,
    inputs: Mapping[str, tuple[type[np.generic], Shape]],
    outputs: Mapping[str, tuple[Value, type[np.generic], Shape]],
    about: Mapping[str, str],
) -> ModelProto:
    """Return the complete ONNX model, after a check.

    Args:
        graph: the nodes; nodes that name the outputs are added.
        inputs: name -> type and shape; a letter is an axis of any length.
        outputs: name -> value in the graph, type and shape.
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
    """Return ONNX's number of an element type."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(kind)))


def _described(name: str, kind: type[np.generic], shape: Shape) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, _element(kind), shape)
