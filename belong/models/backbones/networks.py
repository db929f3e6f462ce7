"""Define classifiers on a backbone, either frozen or fine-tuned.

A frozen backbone's own vectors are the same whatever is learned above them, so that center loss on
them could change nothing. It acts on one hidden layer, whose values then are the features.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor, nn

from belong.models.backbones.backbone import Backbone
from belong.models.backbones.card import BackboneCard
from belong.models.base import Network, draw_weights

SQUARED_LENGTH = 64


class FrozenBackbone(Network):
    """vectors of the backbone - embedding - c; it takes what `Backbone.vectors` returns.

    Attributes:
        mean: (v,) of the training images' last vectors, and
        scale: (v,) their standard deviation, times what brings the vectors' mean squared
            length to 64. LeNet's layer before its features has about that (88); with 1280 merely
            standardized values, the training's rate is too high for the center loss.
    """

    batch = 64
    mean: Tensor
    scale: Tensor

    def __init__(self, *, classes: int, embedding: int, early: int, middle: int, last: int) -> None:
        super().__init__()
        self.shape = {
            "classes": classes,
            "embedding": embedding,
            "early": early,
            "middle": middle,
            "last": last,
        }
        self._sizes = [early, middle, last]
        self.embedding = nn.Linear(last, embedding)
        self.classifier = nn.Linear(embedding, classes)
        self.register_buffer("mean", torch.zeros(last))
        self.register_buffer("scale", torch.ones(last))

    @classmethod
    def above(cls, backbone: BackboneCard, *, classes: int, embedding: int) -> Self:
        """Build the network for the vectors of a backbone."""
        early, middle, last = backbone.sizes
        return cls(classes=classes, embedding=embedding, early=early, middle=middle, last=last)

    def initialize(self, inputs: Tensor, generator: torch.Generator) -> None:
        """Draw the weights, as torch does by default, and measure the vectors (n, v)."""
        draw_weights(self, generator)
        last = len(self.mean)
        std, mean = torch.std_mean(inputs[:, -last:], dim=0)
        # A value that hardly changes from image to image is not stretched like the others.
        std = torch.where(std > std.mean() / 100, std, 1)
        self.mean.copy_(mean)
        self.scale.copy_(std * (last / SQUARED_LENGTH) ** 0.5)

    def layers(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, v) -> the middle (n, e) and the last stage (n, l) of the backbone, features (n, d).

        The features after their ReLU. The layers before are the backbone's own, whatever lambda.
        """
        _, middle, last = inputs.split(self._sizes, dim=1)
        return middle, last, F.relu(self.embedding((last - self.mean) / self.scale))


class FineTunedBackbone(Network):
    """A backbone all of which is trained, and a classifier above it; it takes images."""

    batch = 16

    def __init__(self, *, classes: int, backbone: Backbone) -> None:
        super().__init__()
        self.shape = {"classes": classes}
        self.backbone = backbone
        self.dropout = nn.Dropout(0.2)  # EfficientNet-B0's share
        self.classifier = nn.Linear(backbone.card.sizes[-1], classes)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        shape: Mapping[str, Any],
        card: BackboneCard | None = None,
    ) -> Self:
        """Build the network from what `arrays()` and `shape` gave, and the backbone's card."""
        if card is None:
            raise ValueError("a network that was fine-tuned needs the card of its backbone")
        return cls(**shape, backbone=Backbone(card)).loaded(arrays)

    def initialize(self, inputs: Tensor, generator: torch.Generator) -> None:
        """Draw the classifier, and the backbone too unless it has learned weights.

        The classifier as torch does by default, whose bound is one over the root of its inputs.

        Raises:
            InputError: the backbone cannot take images of this size.
        """
        self.backbone.check_size(inputs)
        if self.backbone.card.is_drawn:
            self.backbone.redraw(int(torch.randint(2**31, (), generator=generator)))
        draw_weights(self.classifier, generator)

    def layers(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, ch, h, w) uint8 -> early stage (n, m), middle one (n, e), features (n, d)."""
        early, middle, features = self.backbone.vectors(inputs).split(
            self.backbone.card.sizes, dim=1
        )
        return early, middle, features

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(n, ch, h, w) uint8 -> features (n, d), logits (n, c) of them after the dropout."""
        *_, features = self.layers(inputs)
        return features, self.classifier(self.dropout(features))
