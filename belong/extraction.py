"""Pass images through the trained networks."""

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.autoencoder import Autoencoder
from belong.lenet import LeNet
from belong.progress import bar
from belong.views import Views

BATCH = 256  # fits the cache: larger batches take longer on a CPU
MAPS_SIDE = 7  # the first maps are averaged to this size, whatever the size of the images


@torch.no_grad()
def extract(network: LeNet, autoencoder: Autoencoder, images: Tensor) -> Views:
    """Return the views of the images (n, ch, h, w) uint8, on the CPU."""
    network.eval()
    batches = []
    with bar(len(images), "extract", "image") as progress:
        for batch in images.split(BATCH):
            maps, hidden, features = network.layers(batch)
            small = F.adaptive_avg_pool2d(maps, MAPS_SIDE).flatten(1)
            logits = network.classifier(features)
            views = (features, logits, hidden, small, *autoencoder(batch))
            batches.append([view.cpu() for view in views])
            progress.update(len(batch))
    return Views(*(torch.cat(view) for view in zip(*batches, strict=True)))
