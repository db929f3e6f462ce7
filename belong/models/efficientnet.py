"""EfficientNet-B0, the larger network of paper A, as torchvision has it.

Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019,
https://arxiv.org/abs/1905.11946, table 1.

On one core with AVX-512 (224 px, 16 at once, float32, PyTorch 2.15): 42 images per second, and 54
with the batch normalization folded into the convolutions. Batches of 64 take a quarter longer, and
images that are not laid out channels last more than half as long again.
"""

import copy
from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from belong.models.base import Network, Stored, draw_weights
from belong.runtime.errors import InputError

EARLY, MIDDLE = 2, 5  # the stages, of 0 to 8, that the views show besides the last one
SIZES = (24, 112, 1280)  # their channels, and those of the last stage
BATCH = 16
# Below 33 px one pixel is left in the last stage, and a batch of one image has no spread there.
LEAST_SIDE_PX = 33
# Of ImageNet's pixels, in 0..1; torchvision's weights were trained on images brought to these.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Backbone(Stored):
    """All of EfficientNet-B0 but its classifier; the arrays have torchvision's names.

    Of each image it makes one vector, the channels of three stages averaged over the image:
    24 of stage 2 (a quarter of the image's side, edges and colours), 112 of stage 5 (a sixteenth,
    parts of things), and 1280 of the last one, paper A's features. Averages, as Lee et al. (2018)
    take them: a Gaussian for each class of the whole maps would want more images than there are
    (24 x 56 x 56 values at 224 px).
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not at the top: a program that knows this network, and uses LeNet, starts a second sooner.
        from torchvision.models import efficientnet_b0

        with torch.random.fork_rng(devices=[]):  # torchvision draws weights; ours come later
            self.features = efficientnet_b0().features
        for name, values in (("pixel_mean", MEAN), ("pixel_std", STD)):
            # Not among the arrays: torchvision's have none, and nobody trains them.
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.to(memory_format=torch.channels_last)

    def vectors(self, images: Tensor) -> Tensor:
        """(n, ch, h, w) uint8, ch 1 or 3 -> (n, 24 + 112 + 1280) float32.

        On a GPU it computes in bfloat16 where torch's autocast finds that enough.
        """
        x = (images.float() / 255 - self.pixel_mean) / self.pixel_std  # grey becomes 3 channels
        x = x.contiguous(memory_format=torch.channels_last)
        means = []
        with torch.autocast("cuda", torch.bfloat16, enabled=images.is_cuda):
            for stage, blocks in enumerate(self.features):
                x = blocks(x)
                if stage in (EARLY, MIDDLE, len(self.features) - 1):
                    means.append(x.mean(dim=(2, 3), dtype=torch.float32))
        return torch.cat(means, dim=1)

    def folded(self) -> Self:
        """Return a copy for use without learning: a quarter faster, and its values the same.

        Each batch normalization is a scale and a shift once nothing is learned, and the
        convolution before it can do both.
        """
        from torchvision.ops.misc import Conv2dNormActivation

        folded = copy.deepcopy(self).eval()
        for block in folded.modules():
            if isinstance(block, Conv2dNormActivation):
                block[0], block[1] = fuse_conv_bn_eval(block[0], block[1]), nn.Identity()
        return folded


class EfficientNetB0(Backbone, Network):
    """Classifier for photos; with its weights drawn anew or taken from a trained backbone."""

    batch = BATCH

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        self.shape = {"classes": classes}
        self.dropout = nn.Dropout(0.2)  # torchvision's share
        self.classifier = nn.Linear(SIZES[-1], classes)

    @classmethod
    def for_images(cls, images: Tensor, *, classes: int) -> Self:
        """Build the network for images (n, ch, h, w) of this size."""
        check_size(images)
        return cls(classes=classes)

    def initialize(self, inputs: Tensor, generator: torch.Generator) -> None:  # noqa: ARG002
        """Draw the weights; the pixels are standardized by ImageNet's mean and deviation.

        Convolutions as torchvision draws them. The classifier as torch does by default: the
        bound of torchvision is one over the root of its classes, which with few of them makes
        a loss of many units.
        """
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        draw_weights(self.classifier, generator)

    def start_from(self, backbone: Mapping[str, np.ndarray]) -> None:
        """Take over the arrays of a backbone; the classifier stays as it was drawn."""
        self.loaded(self.arrays() | dict(backbone))

    def layers(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, ch, h, w) uint8 -> means of stage 2 (n, 24), of 5 (n, 112), features (n, 1280)."""
        early, middle, features = self.vectors(inputs).split(SIZES, dim=1)
        return early, middle, features

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(n, ch, h, w) uint8 -> features (n, 1280), logits (n, c) of them after the dropout."""
        *_, features = self.layers(inputs)
        return features, self.classifier(self.dropout(features))


def check_size(images: Tensor) -> None:
    """Refuse images (n, ch, h, w) that EfficientNet-B0 cannot take."""
    _, channels, height, width = images.shape
    if channels not in (1, 3):
        raise InputError(f"EfficientNet-B0 wants grey or RGB images, got {channels} channels")
    if min(height, width) < LEAST_SIDE_PX:
        raise InputError(
            f"EfficientNet-B0 wants images of at least {LEAST_SIDE_PX} px, got {height}x{width}"
        )
