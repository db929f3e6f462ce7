"""Define the panel: the detectors that work on the vectors of any network, by name.

    from belong.detectors.panel import Mahalanobis

    scores = Mahalanobis.fit(features, labels).score(new)

The panel has more detectors than the registry of the pipeline. A detector of the panel has no
section in params.yaml, no stage, and is not saved in models. A new detector is a file and a line
here. Its parameters are those of its paper, or are chosen without anomalies.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from belong.detectors import ash, mahalanobis_layers, vra
from belong.detectors.active_nodes import ActiveNodes as _ActiveNodes
from belong.detectors.base import Detector, Training
from belong.detectors.dice import SparseEnergy
from belong.detectors.energy import Energy as _Energy
from belong.detectors.entropy import Entropy as _Entropy
from belong.detectors.fdbd import BoundaryDistance
from belong.detectors.feature_knn import FeatureNeighbors
from belong.detectors.gen import GeneralizedEntropy
from belong.detectors.gmm import GaussianMixture
from belong.detectors.gradnorm import GradientNorm
from belong.detectors.gram import GramMatrices
from belong.detectors.hidden_knn import HiddenNeighbors
from belong.detectors.kl_matching import KlMatching
from belong.detectors.lts import LogitScaling
from belong.detectors.mahalanobis_many import MahalanobisToMany, MahalanobisToManyInUnits
from belong.detectors.mahalanobis_normalized import NormalizedMahalanobis
from belong.detectors.mahalanobis_plus import MahalanobisPlus, RelativeMahalanobisPlus
from belong.detectors.mahalanobis_tied import TiedMahalanobis
from belong.detectors.max_logit import MaximumLogit
from belong.detectors.msp import MaximumSoftmaxProbability
from belong.detectors.nci import NeuralCollapse
from belong.detectors.nnguide import NeighborGuidance
from belong.detectors.odin import Odin
from belong.detectors.openmax import OpenMax as _OpenMax
from belong.detectors.pnml import LearningRegret
from belong.detectors.react import RectifiedEnergy
from belong.detectors.relative_mahalanobis import RelativeMahalanobis as _RelativeMahalanobis
from belong.detectors.residual import Residual as _Residual
from belong.detectors.scale import ScaledEnergy
from belong.detectors.she import HopfieldEnergy
from belong.detectors.temperature_scaling import TemperatureScaling as _TemperatureScaling
from belong.detectors.vectors import Array, vectors, whole_labels
from belong.detectors.vim import VirtualLogit
from belong.detectors.weiper import PerturbedProbability
from belong.models.activations import Views
from belong.models.matrix_product import matrix_product
from belong.runtime.errors import InputError

LAYERS = ("features", "logits", "hidden", "maps")
HEAD = "weight and bias"
CLASSES = "labels of at least two classes"
CHUNK = 8192  # rows scored at a time
# Maximum relative difference of the logits of a float16 network from those of its last layer.
AGREEMENT = 0.02
CHECKED = 1000  # number of rows whose logits are compared with those of the last layer

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class LastLayer:
    """The last layer: logits = features weight^T + bias; (c, d) and (c,) float32."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def checked(cls, weight: object, bias: object) -> "LastLayer | None":
        """Build the layer from weight and bias; None without both.

        Raises:
            InputError: only one of the two, or their shapes do not match.
        """
        if weight is None and bias is None:
            return None
        if weight is None or bias is None:
            missing = "weight" if weight is None else "bias"
            raise InputError(f"{missing}: expected weight and bias together, got one of them")
        rows, values = vectors("weight", weight), vectors("bias", bias, axes=1)
        if len(rows) != len(values):
            raise InputError(
                f"bias: expected {len(rows)} values, one for each row of weight, got {len(values)}"
            )
        return cls(rows, values)

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits: (n, d) -> (n, c)."""
        return matrix_product(features, self.weight.T) + self.bias


@dataclass(frozen=True)
class Sample:
    """The training rows of any network.

    Attributes:
        training: the views; a missing one has no columns, missing labels are 0.
        kinds: the available data: names of `LAYERS`, "labels", `HEAD`, `CLASSES`.
        head: the last layer, if known.
    """

    training: Training
    kinds: frozenset[str]
    head: LastLayer | None

    @cached_property
    def compact(self) -> Training:
        """The sample restricted to classes with rows, renumbered from 0."""
        present, labels = self.training.labels.unique(return_inverse=True)
        names = [self.training.class_names[label] for label in present]
        return replace(self.training, labels=labels, class_names=names)


def sample_of(
    layers: Mapping[str, Tensor], labels: Tensor | None, head: LastLayer | None, *, name: str = ""
) -> Sample:
    """Build the sample to fit detectors; `layers` are vectors (n, ...) by a name of `LAYERS`.

    Raises:
        InputError: the shapes do not match; `name` identifies the rows.
    """
    layers = complete(layers, head, name=name)
    logits = layers.get("logits")
    n = len(next(iter(layers.values())))
    c = 1 if labels is None else int(labels.max()) + 1
    if logits is not None:
        if labels is not None and c > logits.shape[1]:
            raise InputError(
                f"{name}labels: expected 0 to {logits.shape[1] - 1}, as there are "
                f"{logits.shape[1]} logits, got {c - 1}"
            )
        c = logits.shape[1]
    kinds = {*layers, *(["labels"] if labels is not None else []), *([HEAD] if head else [])}
    if labels is not None and len(labels.unique()) > 1:
        kinds.add(CLASSES)
    nothing = torch.empty(0)
    training = Training(
        views_of(layers),
        torch.zeros(n, dtype=torch.int64) if labels is None else labels,
        [str(label) for label in range(c)],
        nothing if head is None else head.weight,
        nothing if head is None else head.bias,
    )
    return Sample(training, frozenset(kinds), head)


def complete(
    layers: Mapping[str, Tensor], head: LastLayer | None, *, name: str = ""
) -> Mapping[str, Tensor]:
    """Return the layers; compute the logits from the last layer if they are missing.

    Raises:
        InputError: numbers of rows, widths or logits do not match.
    """
    if not layers:
        raise InputError(f"{name}expected one of {', '.join(LAYERS)}, got none")
    counts = {layer: len(rows) for layer, rows in layers.items()}
    if len(set(counts.values())) > 1:
        numbers = ", ".join(f"{n} of {layer}" for layer, n in counts.items())
        raise InputError(f"{name}expected equal numbers of rows, got {numbers}")
    features, logits = layers.get("features"), layers.get("logits")
    if logits is not None and logits.shape[1] < 2:
        raise InputError(f"{name}logits: expected at least 2 columns, one for each class, got 1")
    if head is None or features is None:
        return layers
    if features.shape[1] != head.weight.shape[1]:
        raise InputError(
            f"{name}features: expected {head.weight.shape[1]} columns, as weight has, got "
            f"{features.shape[1]}"
        )
    if logits is None:
        return {**layers, "logits": head.logits(features)}
    if logits.shape[1] != len(head.bias):
        raise InputError(
            f"{name}logits: expected {len(head.bias)} columns, one for each row of weight, got "
            f"{logits.shape[1]}"
        )
    ours = head.logits(features[:CHECKED])
    apart = float((ours - logits[:CHECKED]).abs().max())
    if apart > AGREEMENT * float(logits[:CHECKED].abs().max().clamp(min=1)):
        raise InputError(
            f"{name}logits: expected features weight^T + bias, got logits that differ from them by "
            f"up to {apart:.3g}"
        )
    return layers


def views_of(layers: Mapping[str, Tensor]) -> Views:
    """Return the views of rows (n, ...); a missing one has no columns."""
    n = len(next(iter(layers.values())))
    nothing = torch.empty(n, 0)
    arrays = {name: layers.get(name, nothing) for name in LAYERS}
    return Views(**arrays, codes=nothing, reconstruction_error=nothing)


def widths_of(views: Views) -> dict[str, int]:
    """Return the number of columns of each available layer."""
    widths = {name: getattr(views, name).shape[1] for name in LAYERS}
    return {name: width for name, width in widths.items() if width}


def check_widths(
    layers: Mapping[str, Tensor], widths: Mapping[str, int], *, name: str = ""
) -> None:
    """Refuse layers whose numbers of columns differ from the training rows."""
    for layer, rows in layers.items():
        if rows.shape[1] != widths.get(layer, rows.shape[1]):
            raise InputError(
                f"{name}{layer}: expected {widths[layer]} columns, as the training rows have, got "
                f"{rows.shape[1]}"
            )


@dataclass(frozen=True)
class Method:
    """A detector of the panel before fitting.

    Attributes:
        name: in the panel.
        kind: the class of the detector.
        needs: names of `LAYERS`, "labels", `HEAD`, `CLASSES`.
        parameters: the keywords of the class's `fit`, or a function that returns them for a
            sample; others have the defaults of the class.
    """

    name: str
    kind: type[Detector]
    needs: tuple[str, ...]
    parameters: Parameters | Callable[[Training], Parameters] = field(default_factory=dict)

    def fit(
        self,
        features: Array | None = None,
        labels: Array | None = None,
        *,
        logits: Array | None = None,
        weight: Array | None = None,
        bias: Array | None = None,
        hidden: Array | None = None,
        maps: Array | None = None,
        **parameters: Any,
    ) -> "Fitted":
        """Fit to training rows of any network: arrays, or tensors of any device and type.

        Args:
            features: (n, d), of the layer before the last.
            labels: (n,) whole numbers of at least 0, the columns of the logits.
            logits: (n, c); computed from features, weight and bias if missing.
            weight: (c, d) and
            bias: (c,) of the last layer.
            hidden: (n, e), of a layer before the features.
            maps: (n, m), of an early layer, averaged over its maps.
            parameters: of the detector; the defaults are those of the paper.

        Raises:
            InputError: a required array is missing, or the shapes do not match.
        """
        sample_layers = {"features": features, "logits": logits, "hidden": hidden, "maps": maps}
        layers = {name: vectors(name, x) for name, x in sample_layers.items() if x is not None}
        n = len(next(iter(layers.values()))) if layers else 0
        classes = None if labels is None else whole_labels("labels", labels, n)
        head = LastLayer.checked(weight, bias)
        return self.fit_sample(sample_of(layers, classes, head), **parameters)

    def with_parameters(self, **parameters: Any) -> "Method":
        """Return the detector with other parameters, for `belong.evaluate`."""

        def changed(training: Training) -> Parameters:
            return {**self.parameters_for(training), **parameters}

        return replace(self, parameters=changed)

    def parameters_for(self, training: Training) -> Parameters:
        """Return the keywords of the class's `fit` for a sample."""
        return self.parameters(training) if callable(self.parameters) else self.parameters

    def fit_sample(self, sample: Sample, **parameters: Any) -> "Fitted":
        """Fit to a sample; the parameters as above."""
        missing = [need for need in self.needs if need not in sample.kinds]
        if missing:
            raise InputError(f"{self.name} needs {' and '.join(missing)}")
        training = sample.training if "logits" in self.needs else sample.compact
        keywords = {**self.parameters_for(training), **parameters}
        detector = self.kind.fit(training, **keywords)
        return Fitted(self, detector, widths_of(training.views), sample.head)


@dataclass(frozen=True)
class Fitted:
    """A fitted detector of the panel.

    Attributes:
        method: the method before fitting.
        detector: the fitted detector.
        widths: the number of columns of each layer of the training rows.
        head: the last layer, if there is one.
    """

    method: Method
    detector: Detector
    widths: Mapping[str, int]
    head: LastLayer | None

    def score(
        self,
        features: Array | None = None,
        *,
        logits: Array | None = None,
        hidden: Array | None = None,
        maps: Array | None = None,
    ) -> np.ndarray:
        """Return a score for each row, higher is more anomalous: (n,) float32.

        The arrays are those of `Method.fit`; logits are computed if the last layer is known.

        Raises:
            InputError: a required array is missing, or the shapes do not match.
        """
        row_layers = {"features": features, "logits": logits, "hidden": hidden, "maps": maps}
        layers = {name: vectors(name, x) for name, x in row_layers.items() if x is not None}
        layers = dict(complete(layers, self.head))
        check_widths(layers, self.widths)
        missing = [need for need in self.method.needs if need in LAYERS and need not in layers]
        if missing:
            raise InputError(f"{self.method.name} needs {' and '.join(missing)}")
        n = len(next(iter(layers.values())))
        layers = {name: x for name, x in layers.items() if name in self.widths}
        chunks = (
            self.scores_of(views_of({name: x[at : at + CHUNK] for name, x in layers.items()}))
            for at in range(0, n, CHUNK)
        )
        return np.concatenate(list(chunks))

    def scores_of(self, views: Views) -> np.ndarray:
        """Return finite scores (n,) float32; an overflow becomes the largest value."""
        most = torch.finfo(torch.float32).max
        return self.detector.score(views).nan_to_num(most, most, -most).numpy()


F, L, Z, H, M = "features", "labels", "logits", "hidden", "maps"
# Ridge of a Gaussian whose paper has none, to avoid a division by 0 with a constant feature.
LEAST_RIDGE = {"ridge": 1e-6}
PER_CLASS = {"quantile": 0.975, "ridge": 0.001, "covariance": "auto"}  # as in params.yaml
LAYERS_PER_CLASS = {**PER_CLASS, "ridge": 0.01}


def _principal(training: Training) -> Parameters:
    """Return the size of ViM's principal space: the paper's for wide features, otherwise d / 2."""
    d = training.views.features.shape[1]
    return {"principal": 1000 if d >= 2048 else 512 if d >= 768 else max(1, d // 2)}


def _nearest(k: int) -> Callable[[Training], Parameters]:
    return lambda training: {"k": min(k, len(training.labels))}


Msp = Method("msp", MaximumSoftmaxProbability, (Z,))
MaxLogit = Method("max_logit", MaximumLogit, (Z,))
Energy = Method("energy", _Energy, (Z,))
Entropy = Method("entropy", _Entropy, (Z,))
Gen = Method("gen", GeneralizedEntropy, (Z,), {"gamma": 0.1, "top": 100})
Temperature = Method("temperature_scaling", _TemperatureScaling, (Z, CLASSES))
OdinNoStep = Method("odin_no_step", Odin, (Z,))
KLMatching = Method("kl_matching", KlMatching, (Z,))
OpenMax = Method("openmax", _OpenMax, (Z, CLASSES))
React = Method("react", RectifiedEnergy, (F, HEAD))
Vra = Method("vra", vra.ClippedActivation, (F, HEAD))
VraP = Method("vra_p", vra.RectifiedActivation, (F, HEAD))
AshP = Method("ash_p", ash.PrunedEnergy, (F, HEAD))
AshB = Method("ash_b", ash.BinarizedEnergy, (F, HEAD))
AshS = Method("ash_s", ash.SharpenedEnergy, (F, HEAD))
Scale = Method("scale", ScaledEnergy, (F, HEAD))
Lts = Method("lts", LogitScaling, (F, Z))
Dice = Method("dice", SparseEnergy, (F, HEAD))
She = Method("she", HopfieldEnergy, (F, Z, L))
NNGuide = Method("nnguide", NeighborGuidance, (F, Z), _nearest(10))
FDbd = Method("fdbd", BoundaryDistance, (F, Z, HEAD))
Nci = Method("nci", NeuralCollapse, (F, Z, HEAD))
GradNorm = Method("gradnorm", GradientNorm, (F, Z))
WeiperMsp = Method("weiper_msp", PerturbedProbability, (F, HEAD))
Pnml = Method("pnml", LearningRegret, (F, HEAD))
Vim = Method("vim", VirtualLogit, (F, Z, HEAD), _principal)
Residual = Method("residual", _Residual, (F, Z, HEAD), _principal)
Mahalanobis = Method("mahalanobis", MahalanobisToMany, (F, L), PER_CLASS)
MahalanobisMin = Method("mahalanobis_min", MahalanobisToManyInUnits, (F, L), PER_CLASS)
MahalanobisTied = Method("mahalanobis_tied", TiedMahalanobis, (F, L), LEAST_RIDGE)
MahalanobisPP = Method("mahalanobis_plus", MahalanobisPlus, (F, L), LEAST_RIDGE)
RelativeMahalanobis = Method(
    "relative_mahalanobis", _RelativeMahalanobis, (F, CLASSES), LEAST_RIDGE
)
RelativeMahalanobisPP = Method(
    "relative_mahalanobis_plus", RelativeMahalanobisPlus, (F, CLASSES), LEAST_RIDGE
)
Gmm = Method("gmm", GaussianMixture, (F, L))
FeatureKnn = Method("feature_knn", FeatureNeighbors, (F,), _nearest(50))
Gram = Method("gram", GramMatrices, (F, Z, L))
MahalanobisMaps = Method(
    "mahalanobis_maps", mahalanobis_layers.MapsMahalanobis, (M, L), LAYERS_PER_CLASS
)
MahalanobisHidden = Method(
    "mahalanobis_hidden", mahalanobis_layers.HiddenMahalanobis, (H, L), LAYERS_PER_CLASS
)
MahalanobisLayers = Method(
    "mahalanobis_layers", mahalanobis_layers.LayerMahalanobis, (M, H, F, L), LAYERS_PER_CLASS
)
MahalanobisNormalized = Method(
    "mahalanobis_normalized", NormalizedMahalanobis, (H, L), {"ridge": 0.001}
)
HiddenKnn = Method("hidden_knn", HiddenNeighbors, (H,), _nearest(10))
ActiveNodes = Method("active_nodes", _ActiveNodes, (F, H, L))

PANEL = {one.name: one for one in tuple(vars().values()) if isinstance(one, Method)}
