"""The head that a person's corrections train: images that were said not to belong, against ours.

It looks at the layer before the features: above a frozen backbone these are the backbone's own
vectors. The features were trained to tell our classes apart, and have lost much of what others look
like. Three rooms, 50 of 533 photos of bathrooms said to be foreign (six draws, alpha 2.5 %): of the
other bathrooms 54 % were accepted before, 4 % with this head, and 62 % with one on the features.

In `combined` it is no member among others, whose sum would drown it: see `Combination`.
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

LEAST_FOREIGN = 20  # images


@dataclass(frozen=True)
class ReviewHead(MlpHead):
    """Minus the logit of a supervised head on the layer before the features."""

    odd = "it is like images that were said not to belong"
    threshold = None

    @torch.no_grad()
    def score(self, views: Views) -> Tensor:
        """(n,)."""
        logits: Tensor = self.head(views.hidden)
        return -logits

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """(n,)."""
        return self.onnx_of(graph, views.hidden)


def fit(
    normal: np.ndarray, foreign: np.ndarray, *, options: HeadSection, seed: int
) -> SupervisedHead:
    """Train a head on vectors (n, e) of images that belong, and (m, e) of images that do not.

    The smaller kind is repeated to weigh at least half as much as the larger one.
    """
    few, many = sorted((normal, foreign), key=len)
    again = np.repeat(few, max(1, len(many) // (2 * len(few))), axis=0)
    ours, others = (again, foreign) if few is normal else (normal, again)
    head, _ = fit_head(
        torch.from_numpy(ours),
        torch.from_numpy(others),
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        generator=torch.Generator().manual_seed(seed),
    )
    return head.eval()
