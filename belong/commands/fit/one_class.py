"""A model of one class: an untrained network, and the detectors that need no classes.

A folder of good images alone says nothing of what tells classes apart, so that no classifier is
trained. Above a frozen backbone the features are the principal components of its vectors, each as a
positive and a negative part, for they go through a ReLU. From scratch the network keeps the weights
that are drawn, and the autoencoder alone has learned from the images.

The members above a backbone were chosen of six sets on photos of one class (rooms, flowers and
animals; 100 training images, near and far anomalies) and on the two sets of docs/one-class.md.
"""

import math
from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from belong.detectors.combined import Member
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.networks import FrozenBackbone
from belong.models.base import Network
from belong.models.registry import build
from belong.parameters import FINE_TUNED, Parameters
from belong.runtime.errors import InputError

ABOVE_A_BACKBONE = ("mahalanobis_maps", "mahalanobis_normalized", "hidden_knn")
FROM_SCRATCH = ("reconstruction", "code_knn", "code_iforest")


def untrained(
    name: str,
    inputs: Tensor,
    *,
    embedding: int,
    backbone: Backbone | None,
    generator: torch.Generator,
) -> Network:
    """Return a network of one class for images (n, ch, h, w) uint8 or vectors (n, v).

    Its logit is 0 for every image. The arguments are those of `belong.models.registry.build`.

    Raises:
        InputError: all of a backbone would have to be trained, or as `build` does.
    """
    if name == FINE_TUNED:
        raise InputError(
            "backbone.frozen: expected true, got false: the images have one class, and nothing can "
            "be trained to tell classes apart"
        )
    network = build(name, inputs, classes=1, embedding=embedding, backbone=backbone)
    network.initialize(inputs, generator)
    torch.nn.init.zeros_(network.classifier.weight)
    torch.nn.init.zeros_(network.classifier.bias)
    if isinstance(network, FrozenBackbone):
        _take_components(network, inputs[:, -len(network.mean) :])
    return network


def _take_components(network: FrozenBackbone, vectors: Tensor) -> None:
    """Have the features be the principal components of vectors (n, l), of both signs."""
    network.scale.fill_(math.sqrt(float((vectors - network.mean).square().sum(dim=1).mean())))
    centered = ((vectors - network.mean) / network.scale).double().numpy()
    _, axes = np.linalg.eigh(centered.T @ centered)
    units = len(network.embedding.weight)
    first = torch.from_numpy(axes[:, ::-1][:, : min(units // 2, len(vectors) - 1)].T.copy()).float()
    with torch.no_grad():
        network.embedding.bias.zero_()
        network.embedding.weight.zero_()
        network.embedding.weight[: len(first)] = first
        network.embedding.weight[units // 2 : units // 2 + len(first)] = -first


def members(values: Parameters) -> dict[str, Member]:
    """Return the members of `combined`: those that a person has named, or those for one class.

    No class can be left out to see which are blind, see `belong.detectors.member_selection`.
    """
    entering: Collection[str] = ABOVE_A_BACKBONE if values.is_frozen else FROM_SCRATCH
    if values.combined.members != "auto":
        entering = values.candidates
    return {name: Member(auroc=None, low=None) for name in entering}
