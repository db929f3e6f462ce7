"""Define the interface of a detector: fitted on normal training images, one score per image."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views
from belong.models.forward_pass import forward_pass
from belong.runtime.errors import InputError

Arrays = Mapping[str, np.ndarray]
ROWS = 64  # images per batch of `scores_of`, which is padded to this size
MOST = {"n": 2**22, "p": 100, "q": 1000}  # axis -> its maximum size


@dataclass(frozen=True)
class Training:
    """The data to fit a detector: normal training images and the classifier's last layer.

    Attributes:
        views: of the n training images.
        labels: (n,) int64, 0..c-1.
        class_names: the c names, for messages.
        weight: (c, d) and
        bias: (c,) of the classifier's last layer: logits = features weight^T + bias.
    """

    views: Views
    labels: Tensor
    class_names: list[str]
    weight: Tensor
    bias: Tensor

    @property
    def least_of_a_class(self) -> int:
        """The number of images in the smallest class."""
        return int(torch.bincount(self.labels, minlength=len(self.class_names)).min())


@dataclass(frozen=True)
class FittedTensors:
    """A frozen dataclass of tensors, saved under their names.

    Attributes:
        axes: array -> its axes, one letter per axis. Equal letters mean equal sizes: c is the
            number of classes, 1 is that number or 1, and those of MOST are only bounded.
        may_be_infinite: names of arrays that may have infinite values.
    """

    axes: ClassVar[str] = ""
    may_be_infinite: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Lay each tensor out as a file has it: the last bits of products depend on the strides."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):  # else a network
                object.__setattr__(self, field.name, value.contiguous())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fitted tensors by name."""
        return {field.name: getattr(self, field.name).numpy() for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Build the detector from the result of `arrays()`."""
        return cls(**{name: torch.from_numpy(values) for name, values in arrays.items()})


@dataclass(frozen=True)
class Detector(FittedTensors, ABC):
    """A fitted detector.

    Attributes:
        odd: the reason why this detector finds an image anomalous, in words.
        threshold: the threshold of the paper, or None.
        is_combinable: whether it can be a member of `combined`: it is trained without anomalies.
        needs_autoencoder: whether it needs the codes or reconstructions.
        is_row_by_row: whether the last bits of a score never depend on the other images.
        file: the stage whose output has its arrays: fit_mahalanobis, train_head, or fit_detectors
            for all detectors that learn from normal images.
        fit: class method (training, keyword parameters) -> the fitted detector; its keywords
            without a default are the detector's section of params.yaml.
    """

    odd: ClassVar[str]
    threshold: ClassVar[float | None] = None
    is_combinable: ClassVar[bool] = True
    needs_autoencoder: ClassVar[bool] = False
    is_row_by_row: ClassVar[bool] = False
    file: ClassVar[Literal["gaussians", "head", "detectors"]] = "detectors"
    fit: ClassVar[Callable[..., Any]]

    @abstractmethod
    def score(self, views: Views) -> Tensor:
        """Return a score for each image, higher is more anomalous: (n,) float32.

        Unless it `is_row_by_row`, the last bits may depend on the other images in the batch; those
        of `scores_of` do not.
        """

    def onnx(self, graph: Graph, views: ViewNames) -> str | None:  # noqa: ARG002
        """Add the score (n,) float32 to a graph and return its name; None if unsupported."""
        return None


class Shaped(Protocol):
    """An array in memory or in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of its axes."""
        ...


def check_axes(
    kind: type[FittedTensors],
    arrays: Mapping[str, Shaped],
    *,
    classes: int | None = None,
    sizes: Mapping[str, int] | None = None,
) -> None:
    """Check the shapes of a detector's arrays, as other shapes may take unlimited time and memory.

    Args:
        kind: the class of the detector.
        arrays: the arrays by name.
        classes: the number of classes; None if unknown.
        sizes: axis -> its known size.

    Raises:
        ValueError: an array is missing, or has another shape.
    """
    known_sizes = dict(sizes or {}) | ({} if classes is None else {"c": classes})

    def fits(axis: str, size: int) -> bool:
        if axis in MOST:
            return size <= MOST[axis]
        return (
            size in (1, known_sizes.get("c"))
            if axis == "1"
            else known_sizes.setdefault(axis, size) == size
        )

    for entry in filter(None, kind.axes.split(", ")):
        name, _, axes = entry.partition(" ")
        shape = arrays[name].shape if name in arrays else None
        if shape is None or len(shape) != len(axes) or not all(map(fits, axes, shape)):
            expected = ", ".join(str(known_sizes.get(axis, axis)) for axis in axes)
            raise ValueError(f"{name}: expected an array ({expected}), got {shape}")


def scores_of(detectors: Mapping[str, Detector], views: Views) -> dict[str, np.ndarray]:
    """Return the score of each image by each detector: (n,) float32.

    The score of an image is bit-identical whatever other images are scored with it. Verdicts use
    these scores.
    """
    at_once = {name: one for name, one in detectors.items() if one.is_row_by_row}
    in_batches = {name: one for name, one in detectors.items() if not one.is_row_by_row}
    scores = {name: detector.score(views) for name, detector in at_once.items()}
    if in_batches:
        columns = forward_pass(
            lambda *arrays: [detector.score(Views(*arrays)) for detector in in_batches.values()],
            *vars(views).values(),
            batch_size=ROWS,
            device=torch.device("cpu"),
        )
        scores |= dict(zip(in_batches, columns, strict=True))
    return {name: scores[name].numpy() for name in detectors}


@dataclass(frozen=True)
class Unfitted(Detector):
    """A detector without fitted tensors; its fields, if any, are parameters of shape ()."""

    @classmethod
    def fit(cls, training: Training, **parameters: float) -> Self:  # noqa: ARG003
        """Return the detector with its parameters."""
        return cls(**{name: torch.from_numpy(np.asarray(x)) for name, x in parameters.items()})


def finite(values: Tensor, name: str) -> Tensor:
    """Return `values` (n, ...) if all are finite.

    Raises:
        InputError: a value is not finite; the message names the first such image.
    """
    # Minimum and maximum are finite only if all values are: a tenth of the time of `isfinite`.
    if not values.numel() or torch.stack(values.aminmax()).isfinite().all():
        return values
    bad = torch.nonzero(~values.isfinite().flatten(1).all(dim=1))
    raise InputError(f"the {name} of training image {int(bad[0])} are not finite")
