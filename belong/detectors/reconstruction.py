"""Reconstruction error of the autoencoder (paper B)."""

from dataclasses import dataclass

from torch import Tensor

from belong.detectors.base import Unfitted
from belong.detectors.onnx_graph import Graph, ViewNames
from belong.models.activations import Views


@dataclass(frozen=True)
class ReconstructionError(Unfitted):
    """Mean squared error per pixel; only the autoencoder is fitted."""

    odd = "the autoencoder cannot reconstruct it"
    needs_autoencoder = True

    def score(self, views: Views) -> Tensor:
        """Return the scores: (n,)."""
        return views.reconstruction_error

    def onnx(self, graph: Graph, views: ViewNames) -> str:  # noqa: ARG002
        """Add the scores to a graph: (n,)."""
        return views.reconstruction_error
