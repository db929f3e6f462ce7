"""The supervised head: a multi-layer perceptron on the features, trained with anomalies.

Paper A, section II: three fully connected layers (256, 256, 1), ReLU, sigmoid, binary cross
entropy; 1 is normal, 0 is an anomaly. The network below stays fixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor, nn

from belong.detectors.base import Detector
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views
from belong.models.base import Stored, draw_weights
from belong.models.checkpoint import Checkpoint
from belong.models.training_loop import Objective, Row, eager, train
from belong.runtime.errors import InputError

NO_ANOMALIES = "there is no anomaly to train it with"


class SupervisedHead(Stored):
    """The network of the head: features (n, d) -> logit of being normal (n,).

    Attributes:
        mean, std: (d,) of the training features, for standardization. The paper uses raw features,
            whose scale, and thus the training, depends on lambda.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, d: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(d, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1)
        )
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("std", torch.ones(d))

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits: (n, d) -> (n,)."""
        logits: Tensor = self.layers((features - self.mean) / self.std)
        return logits.squeeze(1)


@dataclass(frozen=True)
class MlpHead(Detector):
    """Minus the logit of the supervised head.

    The sigmoid would create ties, as it is exactly 0 or 1 in float32 for most images.
    """

    odd = "it resembles the anomalies of the training"
    threshold: ClassVar[float | None] = 0.0  # the paper's sigmoid is one half there
    is_combinable = False
    file = "head"
    axes = "layers.0.weight hd, mean d, std d"
    head: SupervisedHead

    @torch.no_grad()
    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        logits: Tensor = self.head(views.features)
        return -logits

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        return self.onnx_of(graph, views.features)

    def onnx_of(self, graph: Graph, vectors: str) -> str:
        """Return the score of the input vectors of the head: (n, d) -> (n,)."""
        constants = self.arrays()
        x = graph("Div", graph("Sub", vectors, constants["mean"]), constants["std"])
        for layer in ("layers.0", "layers.2"):
            x = graph("Relu", graph.linear(x, constants, layer))
        return graph("Neg", graph("Squeeze", graph.linear(x, constants, "layers.4"), np.array([1])))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights of the head."""
        return self.head.arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Build the detector from the result of `arrays()`."""
        return cls(SupervisedHead(arrays["layers.0.weight"].shape[1]).loaded(arrays))


def fit(
    normal: Tensor,
    anomalies: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    generator: torch.Generator,
    checkpoint: Checkpoint | None = None,
    description: str | None = "train head",
) -> tuple[SupervisedHead, list[Row]]:
    """Train a head; return it with one row per epoch (loss and accuracy).

    Features (n, d) of normal training images and (m, d) of anomalies, on the device to train on;
    other arguments as in `belong.models.training_loop.train`, with Adam. `generator` also draws the
    weights.

    Raises:
        InputError: there is no training anomaly, or the loss is not finite.
    """
    if len(anomalies) == 0:
        raise InputError("the supervised head: expected training anomalies, got none")
    features = torch.cat((normal, anomalies))
    truth = torch.zeros(len(features), device=features.device)
    truth[: len(normal)] = 1
    n, head = len(features), _drawn_head(features, generator)

    def batch_loss(batch: Tensor) -> tuple[Tensor, Tensor]:
        logits, is_normal = head(features.index_select(0, batch)), truth[batch]
        loss = F.binary_cross_entropy_with_logits(logits, is_normal)
        hits = ((logits.detach() > 0) == (is_normal > 0)).sum()
        return loss, torch.stack((loss.detach() * len(batch), hits))

    def row(sums: Tensor) -> Row:
        loss, accuracy = (sums / n).tolist()
        return {"loss": loss, "accuracy": accuracy}

    history = train(
        head,
        Objective(batch_loss, row, name="head's loss", remedy="head.learning_rate"),
        eager(torch.optim.Adam)(head.parameters(), lr=learning_rate, fused=True),
        n=n,
        epochs=epochs,
        batch_size=batch_size,
        generator=generator,
        description=description,
        cycle_momentum=True,
        checkpoint=checkpoint,
    )
    return head, history


def _drawn_head(features: Tensor, generator: torch.Generator) -> SupervisedHead:
    """Return an untrained head that standardizes by `features` (n, d)."""
    head = SupervisedHead(features.shape[1])
    draw_weights(head, generator)
    std, mean = torch.std_mean(features, dim=0)
    head.mean.copy_(mean)
    head.std.copy_(torch.where(std > 0, std, 1))  # a constant feature becomes 0
    return head.to(features.device)
