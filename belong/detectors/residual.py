"""Residual: distance of the features from the principal space of the training features.

Wang et al., ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022,
https://arxiv.org/abs/2203.10807: the part of ViM without the logits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from belong.detectors.vim import VirtualLogit
from belong.models.activations import Views


@dataclass(frozen=True)
class Residual(VirtualLogit):
    """The norm of the residual outside the principal space."""

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        left_out = (views.features - self.origin) @ self.residual
        norms: Tensor = torch.linalg.vector_norm(left_out, dim=1)
        return norms
