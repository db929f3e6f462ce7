"""Define classifiers on a backbone, either frozen or fine-tuned.

The embeddings of a frozen backbone are fixed, so center loss cannot act on them. It acts on one
hidden layer, whose values are the features.
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
    """A hidden layer and a classifier on the results of `Backbone.vectors`.

    Attributes:
        mean: (l,) mean of the last-stage vectors of the training images.
        scale: (l,) standard deviation of the last-stage vectors, times a factor that makes the mean
            squared length of the scaled vectors 64. In LeNet the layer before the features has a
            similar squared length (88); with 1280 standardized values, the learning rate would be
            too high for the center loss.
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
        """Draw the weights with torch's default initialization, and measure the vectors (n, v)."""
        draw_weights(self, generator)
        last = len(self.mean)
        std, mean = torch.std_mean(inputs[:, -last:], dim=0)
        # A value that is nearly constant is not scaled up.
        std = torch.where(std > std.mean() / 100, std, 1)
        self.mean.copy_(mean)
        self.scale.copy_(std * (last / SQUARED_LENGTH) ** 0.5)

    def layers(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return middle stage (n, e), last stage (n, l) and features (n, d) of vectors (n, v).

        The features are the values after their ReLU. The stages do not depend on lambda.
        """
        _, middle, last = inputs.split(self._sizes, dim=1)
        return middle, last, F.relu(self.embedding((last - self.mean) / self.scale))


class FineTunedBackbone(Network):
    """A backbone that is trained as a whole, with a classifier; the inputs are images."""

    batch = 16

    def __init__(self, *, classes: int, backbone: Backbone) -> None:
        super().__init__()
        self.shape = {"classes": classes}
        self.backbone = backbone
        self.dropout = nn.Dropout(0.2)  # as in EfficientNet-B0
        self.classifier = nn.Linear(backbone.card.sizes[-1], classes)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        shape: Mapping[str, Any],
        card: BackboneCard | None = None,
    ) -> Self:
        """Build the network from the results of `arrays()` and `shape`, and the backbone's card."""
        if card is None:
            raise ValueError("a network that was fine-tuned needs the card of its backbone")
        return cls(**shape, backbone=Backbone(card)).loaded(arrays)

    def initialize(self, inputs: Tensor, generator: torch.Generator) -> None:
        """Draw the weights of the classifier, and of the backbone unless it is pretrained.

        The initialization of the classifier is torch's default, within 1 / sqrt(inputs).

        Raises:
            InputError: the backbone cannot take images of this size.
        """
        self.backbone.check_size(inputs)
        if self.backbone.card.is_drawn:
            self.backbone.redraw(int(torch.randint(2**31, (), generator=generator)))
        draw_weights(self.classifier, generator)

    def layers(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return early stage (n, m), middle stage (n, e) and features (n, d) of images."""
        early, middle, features = self.backbone.vectors(inputs).split(
            self.backbone.card.sizes, dim=1
        )
        return early, middle, features

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, d), and logits (n, c) after the dropout, of images (n, ch, h, w)."""
        *_, features = self.layers(inputs)
        return features, self.classifier(self.dropout(features))
