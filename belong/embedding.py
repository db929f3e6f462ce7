"""Pass images through a frozen backbone."""

import torch
from torch import Tensor

from belong.networks.efficientnet import BATCH, Backbone, check_size
from belong.progress import bar


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
