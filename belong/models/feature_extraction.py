"""Pass images through a frozen backbone, and through the trained networks."""

import torch
from torch import Tensor

from belong.models.activations import Views
from belong.models.autoencoder import Autoencoder
from belong.models.base import Network
from belong.models.efficientnet import BATCH, Backbone, check_size
from belong.runtime.progress import bar


@torch.no_grad()
def embed(backbone: Backbone, images: Tensor, *, place: torch.device) -> Tensor:
    """Return the backbone's vectors (n, v) float32 of images (n, ch, h, w) uint8, on the CPU."""
    check_size(images)
    backbone = backbone.folded().to(place)
    vectors = []
    with bar(len(images), "embed", "image") as progress:
        for batch in images.split(BATCH):
            vectors.append(backbone.vectors(batch.to(place)).cpu())
            progress.update(len(batch))
    return torch.cat(vectors)


@torch.no_grad()
def extract(
    network: Network,
    autoencoder: Autoencoder,
    inputs: Tensor,
    images: Tensor,
    *,
    place: torch.device,
) -> Views:
    """Return the views of n images, on the CPU.

    Args:
        network: the trained classifier.
        autoencoder: the trained one.
        inputs: what the network takes: the images, or what a frozen backbone made of them.
        images: (n, ch, h, w) uint8, for the autoencoder.
        place: where both networks are; the images come there batch by batch.
    """
    network.eval()
    batches = []
    with bar(len(images), "extract", "image") as progress:
        for some, pixels in zip(
            inputs.split(network.batch), images.split(network.batch), strict=True
        ):
            maps, hidden, features = network.layers(some.to(place))
            logits = network.classifier(features)
            views = (features, logits, hidden, maps, *autoencoder(pixels.to(place)))
            batches.append([view.cpu() for view in views])
            progress.update(len(pixels))
    return Views(*(torch.cat(view) for view in zip(*batches, strict=True)))
