"""What is trained on a frozen backbone: one hidden layer and the classifier.

The backbone's own vectors are the same whatever is learned above them, so that center loss on
them could change nothing. It acts on the hidden layer, which then are the features.
"""

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor, nn

from belong.models.base import Network, draw_weights
from belong.models.efficientnet import SIZES

SQUARED_LENGTH = 64


class FrozenEfficientNetB0(Network):
    """vectors of the backbone - embedding - c; it takes what `Backbone.vectors` gave.

    Attributes:
        mean: (1280,) of the training images' last vectors, and
        scale: (1280,) their standard deviation, times what brings the vectors' mean squared
            length to 64. LeNet's layer before its features has about that (88); with the 1280 of
            merely standardized vectors, the training's rate is too high for the center loss.
    """

    batch = 256
    mean: Tensor
    scale: Tensor

    def __init__(self, *, classes: int, embedding: int) -> None:
        super().__init__()
        self.shape = {"classes": classes, "embedding": embedding}
        self.embedding = nn.Linear(SIZES[-1], embedding)
        self.classifier = nn.Linear(embedding, classes)
        self.register_buffer("mean", torch.zeros(SIZES[-1]))
        self.register_buffer("scale", torch.ones(SIZES[-1]))

    def initialize(self, inputs: Tensor, generator: torch.Generator) -> None:
        """Draw the weights, as torch does by default, and measure the vectors (n, v)."""
        draw_weights(self, generator)
        std, mean = torch.std_mean(inputs[:, -SIZES[-1] :], dim=0)
        # A value that hardly changes from image to image is not stretched like the others.
        std = torch.where(std > std.mean() / 100, std, 1)
        self.mean.copy_(mean)
        self.scale.copy_(std * (SIZES[-1] / SQUARED_LENGTH) ** 0.5)

    def layers(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, v) -> means of stage 5 (n, 112), of the last stage (n, 1280), features (n, d).

        The features after their ReLU. The layers before are the backbone's own, whatever lambda.
        """
        _, middle, last = inputs.split(SIZES, dim=1)
        return middle, last, F.relu(self.embedding((last - self.mean) / self.scale))
