"""Rarity of the pattern of active nodes (paper B, idea ii).

Paper B says that the pattern of a network's active nodes may give an anomaly away, and not how.
Here a node is active where its ReLU lets something through (LeNet's two hidden layers); in
EfficientNet, which has no ReLU, where its mean over the image is above 0.
The pattern's rarity is minus its log likelihood under the class that explains it best, each node
being active with the frequency that it has in that class, independently of the others.

Why this statistic: the Hamming distance to the nearest training patterns is the same model with
all nodes weighed alike, and costs a pass over all training images for each image; weighed by their
frequencies, a node that is never active in a class counts for much and an unsteady one for little.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class ActiveNodes(Detector):
    """Minus the log likelihood of the pattern under the best class.

    Attributes:
        frequency: (c, b) float32, share of images of each class that activate each node,
            strictly between 0 and 1 (Laplace smoothing).
    """

    odd = "it activates a combination of units that no class activates"

    axes = "frequency cb"
    frequency: Tensor

    @classmethod
    def fit(cls, training: Training) -> Self:
        """Count the active nodes in each class."""
        finite(training.views.hidden, "hidden layer's values")
        finite(training.views.features, "features")
        patterns = _patterns(training.views)
        classes = range(len(training.class_names))
        of_class = [patterns[training.labels == label] for label in classes]
        return cls(torch.stack([(nodes.sum(dim=0) + 1) / (len(nodes) + 2) for nodes in of_class]))

    def score(self, views: Views) -> Tensor:
        """(n,)."""
        active = _patterns(views)
        log_odds = self.frequency.logit()
        inactive = (-self.frequency).log1p().sum(dim=1)
        return -(active @ log_odds.T + inactive).amax(dim=1)

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """(n,)."""
        positive = [graph("Greater", x, np.float32(0)) for x in (views.hidden, views.features)]
        active = graph.cast(graph("Concat", *positive, axis=1), np.float32)
        frequency = self.frequency.numpy()
        inactive = np.log1p(-frequency)
        log_odds = np.log(frequency / (1 - frequency))
        likely = graph("Add", graph("MatMul", active, log_odds.T), inactive.sum(axis=1))
        return graph("Neg", graph.reduced("Max", likely, 1))


def _patterns(views: Views) -> Tensor:
    """Return which nodes are active: (n, b) float32 of 0 and 1."""
    return torch.cat((views.hidden > 0, views.features > 0), dim=1).float()
