"""Train a head with a person's corrections: images marked as not belonging against normal images.

The head uses the layer before the features, which above a frozen backbone is the embedding. The
features are trained to distinguish the user's classes, and have lost much information about other
images. Example: three rooms, with 50 of 533 photos of bathrooms marked as not belonging (six draws,
alpha 2.5%). Of the other bathrooms, 54% were accepted before, 4% with this head, and 62% with a
head on the features.

In `combined` the head is not added to the sum of the other members, where it would have little
weight; see `Combination`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from belong.detectors.mlp_head import MlpHead, SupervisedHead
from belong.detectors.mlp_head import fit as fit_head
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views
from belong.parameters import HeadSection


@dataclass(frozen=True)
class ReviewHead(MlpHead):
    """Minus the logit of a supervised head on the layer before the features."""

    odd = "it is like images that were said not to belong"
    threshold = None

    @torch.no_grad()
    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        logits: Tensor = self.head(views.hidden)
        return -logits

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        return self.onnx_of(graph, views.hidden)


def fit(
    normal: np.ndarray, foreign: np.ndarray, *, options: HeadSection, seed: int
) -> SupervisedHead:
    """Train a head on vectors (n, e) of images that belong, and (m, e) of images that do not.

    The smaller kind is repeated to weigh at least half as much as the larger one.
    """
    few, many = sorted((normal, foreign), key=len)
    again = np.repeat(few, max(1, len(many) // (2 * len(few))), axis=0)
    normal_inputs, foreign_inputs = (again, foreign) if few is normal else (normal, again)
    head, _ = fit_head(
        torch.from_numpy(normal_inputs),
        torch.from_numpy(foreign_inputs),
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        generator=torch.Generator().manual_seed(seed),
    )
    return head.eval()
