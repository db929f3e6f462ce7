"""Pass images through the trained networks."""

import torch
from torch import Tensor

from belong.autoencoder import Autoencoder
from belong.networks.contract import Network
from belong.progress import bar
from belong.views import Views


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
