"""Virtual-logit matching: the residual outside of the principal space, as an additional logit.

Wang et al., ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022,
https://arxiv.org/abs/2203.10807, eq. (5) to (8).
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from belong.detectors.base import Detector, Training, finite
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views
from belong.runtime.errors import InputError


@dataclass(frozen=True)
class VirtualLogit(Detector):
    """The virtual logit minus the log-sum-exp of the logits.

    Attributes:
        origin: (d,) the point at which all logits are 0, or the nearest point to it.
        residual: (d, d - principal) float32, basis of the complement of the principal space.
        scale: () factor that scales the virtual logit to the size of the largest logit.
    """

    odd = "its features have a component that no class has"

    axes = "origin d, residual dr, scale"
    origin: Tensor
    residual: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, training: Training, *, principal: int) -> Self:
        """Fit to the training features; `principal` dimensions are the principal space."""
        x = finite(training.views.features, "features").double()
        d = x.shape[1]
        if principal >= d:
            raise InputError(
                f"vim.principal: expected less than {d}, the features, got {principal}"
            )
        origin = -torch.linalg.pinv(training.weight.double()) @ training.bias.double()
        centered = x - origin
        _, vectors = torch.linalg.eigh(centered.T @ centered / len(x))  # ascending
        residual = vectors[:, : d - principal]
        norms = torch.linalg.vector_norm(centered @ residual, dim=1)
        scale = training.views.logits.double().amax(dim=1).mean() / norms.mean()
        return cls(origin.float(), residual.float(), scale.float())

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        left_out = (views.features - self.origin) @ self.residual
        norms: Tensor = torch.linalg.vector_norm(left_out, dim=1)
        return self.scale * norms - views.logits.logsumexp(dim=1)

    def onnx(self, graph: Graph, views: ViewNames) -> str:
        """Add the scores to a graph: (n,)."""
        constants = self.arrays()
        off = graph(
            "MatMul", graph("Sub", views.features, constants["origin"]), constants["residual"]
        )
        virtual = graph("Mul", constants["scale"], graph.length(off, axis=1))
        return graph("Sub", virtual, graph.reduced("LogSumExp", views.logits, 1))
