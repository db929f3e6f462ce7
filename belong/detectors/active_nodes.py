"""Rarity of the pattern of active nodes (paper B, idea ii).

Paper B proposes to detect anomalies by the pattern of a network's active nodes, without defining a
statistic. Here a node is active if the output of its ReLU is above 0 (LeNet's two hidden layers),
or, in EfficientNet, which has no ReLU, if its mean over the image is above 0. The rarity of a
pattern is minus its log likelihood under the best class. In a class, each node is active
independently of the others, with its frequency in the training images.

The alternative, the Hamming distance to the nearest training patterns, is the same model with equal
weights for all nodes, and compares each image with all training images. Weights by frequency give a
high weight to a node that is never active in a class, and a low weight to a node that varies.
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
        """Return the scores: (n,)."""
        active = _patterns(views)
        log_odds = self.frequency.logit()
        inactive = (-self.frequency).log1p().sum(dim=1)
        return -(active @ log_odds.T + inactive).amax(dim=1)

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
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
