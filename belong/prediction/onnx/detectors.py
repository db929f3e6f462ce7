"""The detectors as nodes of a graph; in `belong.detectors` each has a file that explains it.

All give scores (n,) float32, higher is more anomalous.
"""

from collections.abc import Callable, Mapping

import numpy as np

from belong.prediction.onnx.graph import Graph
from belong.prediction.onnx.networks import Seen

Arrays = Mapping[str, np.ndarray]


def distances(graph: Graph, x: str, arrays: Arrays) -> str:
    """Return the Mahalanobis distances of x (n, d) to each class: (c, n)."""
    off = graph("Sub", graph("Unsqueeze", x, np.array([0])), arrays["means"][:, None])
    return graph.length(graph("MatMul", off, arrays["whitening"]), axis=2)


def in_thresholds(graph: Graph, x: str, arrays: Arrays) -> str:
    """Return the distance to the nearest class, in thresholds of that class."""
    each = graph("Div", distances(graph, x, arrays), arrays["thresholds"][:, None])
    return graph.reduced("Min", each, 0)


def in_units(graph: Graph, seen: Seen, arrays: Arrays) -> str:
    """Return the distance to the nearest class."""
    return graph.reduced("Min", distances(graph, seen.features, arrays), 0)


def three_layers(graph: Graph, seen: Seen, arrays: Arrays) -> str:
    """Return the sum over the layers, each in thresholds."""
    each = []
    for layer in ("maps", "hidden", "features"):
        start = f"{layer}_"
        own = {name.removeprefix(start): x for name, x in arrays.items() if name.startswith(start)}
        each.append(in_thresholds(graph, getattr(seen, layer), own))
    return graph("Sum", *each)


def active_nodes(graph: Graph, seen: Seen, arrays: Arrays) -> str:
    """Return the rarity of the pattern of active nodes."""
    positive = [graph("Greater", x, np.float32(0)) for x in (seen.hidden, seen.features)]
    active = graph.cast(graph("Concat", *positive, axis=1), np.float32)
    frequency = arrays["frequency"]
    inactive = np.log1p(-frequency)
    log_odds = np.log(frequency / (1 - frequency))
    likely = graph("Add", graph("MatMul", active, log_odds.T), inactive.sum(axis=1))
    return graph("Neg", graph.reduced("Max", likely, 1))


def energy(graph: Graph, seen: Seen, _: Arrays) -> str:
    """Return minus the logarithm of the sum of the exponentials of the logits."""
    return graph("Neg", graph.reduced("LogSumExp", seen.logits, 1))


def max_logit(graph: Graph, seen: Seen, _: Arrays) -> str:
    """Return minus the largest logit."""
    return graph("Neg", graph.reduced("Max", seen.logits, 1))


def msp(graph: Graph, seen: Seen, _: Arrays) -> str:
    """Return minus the logarithm of the largest class probability."""
    largest, at = graph.several(2, "TopK", seen.logits, np.array([1]), axis=1)
    # Without the largest term, 1, next to which the others would round away.
    terms = graph("Exp", graph("Sub", seen.logits, largest))
    zero = graph("Mul", largest, np.float32(0))
    others = graph.reduced("Sum", graph("ScatterElements", terms, at, zero, axis=1), 1)
    return _log1p(graph, others)


def reconstruction(_graph: Graph, seen: Seen, _: Arrays) -> str:
    """Return the squared error of the autoencoder."""
    return seen.reconstruction_error


def code_knn(graph: Graph, seen: Seen, arrays: Arrays) -> str:
    """Return the distance to the k-th nearest code."""
    return _kth_distance(graph, seen.codes, arrays["codes"], int(arrays["k"]))


def feature_knn(graph: Graph, seen: Seen, arrays: Arrays) -> str:
    """Return the distance to the k-th nearest direction of features."""
    length = graph("ReduceL2", seen.features, np.array([1]))
    directions = graph("Div", seen.features, graph("Max", length, np.float32(1e-12)))
    return _kth_distance(graph, directions, arrays["directions"], int(arrays["k"]))


def code_iforest(graph: Graph, seen: Seen, arrays: Arrays) -> str:
    """Return minus the average depth: all trees are gone down at once, level by level."""
    starts = np.cumsum(arrays["nodes"]) - arrays["nodes"]
    own = np.repeat(starts, arrays["nodes"])  # of each node, where its tree starts
    is_leaf, here = arrays["left"] < 0, np.arange(len(own))
    left = np.where(is_leaf, here, arrays["left"] + own)  # in a leaf one stays
    right = np.where(is_leaf, here, arrays["right"] + own)
    axis = np.where(is_leaf, 0, arrays["axis"])
    codes = graph.cast(seen.codes, np.float64)
    n = graph("Shape", seen.codes, start=0, end=1)
    node = graph("Expand", starts[None], graph("Concat", n, np.array([1]), axis=0))
    level = starts
    while not is_leaf[level].all():
        value = graph("GatherElements", codes, graph("Gather", axis, node), axis=1)
        goes_left = graph("LessOrEqual", value, graph("Gather", arrays["cut"], node))
        node = graph("Where", goes_left, graph("Gather", left, node), graph("Gather", right, node))
        level = np.unique(np.concatenate((left[level], right[level])))
    depths = graph("Gather", arrays["depth"].astype(np.float64), node)
    return graph("Neg", graph.cast(graph.reduced("Mean", depths, 1), np.float32))


def mahalanobis_tied(graph: Graph, seen: Seen, arrays: Arrays) -> str:
    """Return the smallest squared distance to a class, one covariance for all."""
    center = arrays["means"].mean(axis=0)
    means = (arrays["means"] - center) @ arrays["whitening"]
    white = graph("MatMul", graph("Sub", seen.features, center), arrays["whitening"])
    off = graph("Sub", graph("Unsqueeze", white, np.array([1])), means)
    return graph.reduced("Min", graph.reduced("SumSquare", off, 2), 1)


def relative_mahalanobis(graph: Graph, seen: Seen, arrays: Arrays) -> str:
    """Return that distance less the one to all images together."""
    off = graph("Sub", seen.features, arrays["mean"])
    whole = graph.reduced("SumSquare", graph("MatMul", off, arrays["whitening_all"]), 1)
    return graph("Sub", mahalanobis_tied(graph, seen, arrays), whole)


def vim(graph: Graph, seen: Seen, arrays: Arrays) -> str:
    """Return the virtual logit less the energy's logarithm of sums."""
    off = graph("MatMul", graph("Sub", seen.features, arrays["origin"]), arrays["residual"])
    virtual = graph("Mul", arrays["scale"], graph.length(off, axis=1))
    return graph("Sub", virtual, graph.reduced("LogSumExp", seen.logits, 1))


def mlp_head(graph: Graph, seen: Seen, arrays: Arrays) -> str:
    """Return minus the logit of the supervised head."""
    x = graph("Div", graph("Sub", seen.features, arrays["mean"]), arrays["std"])
    for layer in ("layers.0", "layers.2"):
        x = graph("Relu", graph.linear(x, arrays, layer))
    return graph("Neg", graph("Squeeze", graph.linear(x, arrays, "layers.4"), np.array([1])))


def _kth_distance(graph: Graph, queries: str, reference: np.ndarray, k: int) -> str:
    """See belong.detectors.knn_search.kth_distance; here all queries of a batch at once."""
    center = reference.mean(axis=0, dtype=np.float64).astype(np.float32)
    reference = reference - center
    half_norms = (reference * reference).sum(axis=1) / 2
    centered = graph("Sub", queries, center)
    near = graph("Gemm", centered, reference, half_norms, alpha=-1.0, transB=1)
    _, rows = graph.several(2, "TopK", near, np.array([k]), axis=1, largest=0)
    kth = graph("Gather", rows, np.array(k - 1), axis=1)
    return graph.length(graph("Sub", centered, graph("Gather", reference, kth)), axis=1)


def _log1p(graph: Graph, x: str) -> str:
    """Return log(1 + x), in float64: the least x that matters is 1e-16 or so."""
    more = graph("Add", graph.cast(x, np.float64), np.float64(1))
    return graph.cast(graph("Log", more), np.float32)


NODES: dict[str, Callable[[Graph, Seen, Arrays], str]] = {
    "mahalanobis": lambda graph, seen, own: in_thresholds(graph, seen.features, own),
    "mahalanobis_min": in_units,
    "mlp_head": mlp_head,
    "reconstruction": reconstruction,
    "code_knn": code_knn,
    "code_iforest": code_iforest,
    "active_nodes": active_nodes,
    "msp": msp,
    "max_logit": max_logit,
    "energy": energy,
    "mahalanobis_tied": mahalanobis_tied,
    "relative_mahalanobis": relative_mahalanobis,
    "feature_knn": feature_knn,
    "vim": vim,
    "mahalanobis_maps": lambda graph, seen, own: in_thresholds(graph, seen.maps, own),
    "mahalanobis_hidden": lambda graph, seen, own: in_thresholds(graph, seen.hidden, own),
    "mahalanobis_layers": three_layers,
}
