"""Build a model of one class: an untrained network, and the detectors that need no classes.

With one class there is nothing to classify, so no classifier is trained. Above a frozen backbone
the features are the principal components of its embeddings, each as a positive and a negative part,
as they pass through a ReLU. From scratch the network keeps its random weights, and only the
autoencoder is trained.

The members above a backbone are the best of six sets of detectors on photos of one class (rooms,
flowers and animals; 100 training images, near and far anomalies) and on the two data sets of
docs/one-class.md.
"""

import math
from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from belong.detectors.combination import candidates_of
from belong.detectors.combined import Member
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.networks import FrozenBackbone
from belong.models.base import Network
from belong.models.network_choice import is_frozen
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
    """Return a network of one class for images (n, ch, h, w) uint8 or embeddings (n, v).

    Its logit is 0 for every image. The arguments are those of `belong.models.registry.build`.

    Raises:
        InputError: the backbone is to be fine-tuned, which needs several classes; or see `build`.
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
    """Set the weights so that the features are the principal components of vectors (n, l)."""
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
    """Return the members of `combined`: those that the user has set, or those for one class.

    They cannot be selected by leaving a class out, see `belong.detectors.member_selection`.
    """
    frozen = is_frozen(values.network, values.backbone)
    entering: Collection[str] = ABOVE_A_BACKBONE if frozen else FROM_SCRATCH
    if values.combined.members != "auto":
        entering = candidates_of(values.combined.members, is_frozen=frozen)
    return {name: Member(auroc=None, low=None) for name in entering}
